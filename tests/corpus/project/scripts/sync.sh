rsync -av results/ backup:/srv/results/
