"""Makes its run by itself, as code does that knows nothing of MLFLOW_RUN_ID."""

from mlflow import MlflowClient

client = MlflowClient()
experiment = client.get_experiment_by_name("mine")
number = experiment.experiment_id if experiment else client.create_experiment("mine")
run = client.create_run(number, run_name="by hand")
client.log_metric(run.info.run_id, "loss", 0.25, step=3)
client.set_terminated(run.info.run_id, status="FAILED")
print(run.info.run_id, client.get_run(run.info.run_id).info.status)
