from transformers import Trainer, TrainingArguments

Trainer(model=None, args=TrainingArguments("out", num_train_epochs=1)).train()
