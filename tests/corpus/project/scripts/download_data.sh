mkdir -p data
curl -L -o data/digits.zip https://example.org/digits.zip
unzip -o data/digits.zip -d data
