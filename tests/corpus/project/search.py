import optuna


def objective(trial):
    return (trial.suggest_float("x", -1, 1) - 0.3) ** 2


study = optuna.create_study()
study.optimize(objective, n_trials=50)
