"""Names by which Python text can be seen to train, to evaluate or to start other programs."""

from typing import Final

from tallystick.shell.wordlist import word_set

LEARNING: Final = word_set(
    "accelerate autogluon ax bitsandbytes botorch catboost chainer composer datasets deepspeed "
    "detectron2 dgl diffusers dspy equinox evaluate fastai flaml flax gensim gpytorch gym "
    "gymnasium haiku hydra hyperopt ignite implicit jax keras lightfm lightgbm lightning lm_eval "
    "mlx mmcv mmdet mmengine mxnet nevergrad numpyro openai_evals optax optuna paddle peft "
    "pettingzoo pycaret pymc pyro pytorch_lightning ray rllib sb3_contrib sentence_transformers "
    "sentencepiece setfit sklearn skorch spacy stable_baselines3 statsmodels surprise tensorflow "
    "timm tinygrad torch torch_geometric torchaudio torchvision transformers trl tune ultralytics "
    "unsloth vllm xgboost"
)
"""Packages for learning machines."""
BACKENDS: Final = frozenset({"torch", "tensorflow", "keras", "jax", "mlx", "paddle", "mxnet"})
TRAINERS: Final = word_set(
    "Trainer Seq2SeqTrainer SFTTrainer DPOTrainer PPOTrainer GRPOTrainer RewardTrainer "
    "ORPOTrainer KTOTrainer GKDTrainer CPOTrainer RLOOTrainer SentenceTransformerTrainer "
    "SetFitTrainer Tuner GradientTape GridSearchCV RandomizedSearchCV HalvingGridSearchCV "
    "BayesSearchCV TorchTrainer cross_val_score cross_validate cross_val_predict value_and_grad "
    "simple_evaluate fmin launch_training LightningCLI notebook_launcher train_test_loop "
    "permutation_test_score learning_curve validation_curve DefaultTrainer Learner"
)
"""Called by these names, something is trained or evaluated."""
ACTS: Final = word_set(
    "backward fit fit_generator fit_transform_train train_on_batch fit_one_cycle fine_tune "
    "partial_fit train_step training_step optimize learn hyperparameter_search train_epoch "
    "evaluate_generator test_on_batch train_model run_training"
)
"""Methods that train, on anything."""
HARMLESS: Final = word_set("scaler encoder vectorizer pca tokenizer imputer le ohe mlb tsne umap")
EVALUATES: Final = word_set(
    "no_grad inference_mode predict predict_proba evaluate accuracy_score f1_score roc_auc_score "
    "classification_report confusion_matrix mean_squared_error compute_metrics eval generate "
    "score perplexity validate_epoch test_step validation_step"
)
LOOPED: Final = frozenset({"epoch", "epochs", "episode", "episodes", "ep", "trial", "generation"})
SETTINGS: Final = word_set(
    "lr learning_rate epochs n_epochs num_epochs max_epochs batch_size weight_decay momentum "
    "dropout optimizer loss loss_fn criterion train_loss val_loss val_acc gradient gradients "
    "grads weights accuracy reward rewards hidden_dim hidden_size num_layers train_loader "
    "val_loader warmup_steps max_steps num_train_epochs"
)
STARTERS: Final = word_set(
    "run call check_call check_output Popen system popen execvp getoutput create_subprocess_shell "
    "create_subprocess_exec getstatusoutput spawn execv execl execlp os_system sh"
)  # fmt: skip
"""Functions of the standard library that start a program."""
STARTING_MODULES: Final = word_set("subprocess os asyncio sp pty sh commands get_ipython shell")
BY_HAND: Final = word_set(
    "lr learning_rate optimizer gradient gradients grads grad weight_decay momentum batch_size "
    "train_loader criterion loss_fn warmup_steps q_table policy alpha_lr"
)
"""Settings that plots do not have: with a loop over epochs, something is trained by hand."""
ESTIMATORS: Final = word_set(
    "model clf reg net est estimator learner trainer classifier regressor pipeline pipe nn gp svm "
    "rf mlp bst booster agent"
)
"""Receivers of `fit` that learn, when nothing is known about their class."""
DRAWING: Final = frozenset({"matplotlib", "seaborn", "plotly", "altair", "bokeh"})
TRACKING: Final = word_set(
    "wandb.init mlflow.start_run wandb.agent aim.Run neptune.init_run swanlab.init trackio.init "
    "comet_ml.start"
)
"""Calls that open a record of an experiment."""
ASKING: Final = (
    "completions.create", "messages.create", "responses.create", "generate_content",
    "chat.complete", "ollama.chat", "litellm.completion",
)  # fmt: skip
"""How calls end that ask a language model behind an API."""
WHOLE: Final = word_set(
    "tune.run wandb.agent hydra.main xgb.cv lgb.cv torch.multiprocessing.spawn mp.spawn "
    "tune.Tuner ray.train"
)
"""Calls that run whole experiments."""
