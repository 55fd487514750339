"""Small transformers with a Trainer of its defaults: masked and causal language models, classifiers."""

import numpy as np
import torch
import transformers

VOCABULARY, ROWS = 24, 20


class Rows(torch.utils.data.Dataset):
    """Rows of token numbers, of several lengths."""

    def __init__(self, labels=None):
        draw = np.random.default_rng(0)
        self.rows = [
            {"input_ids": draw.integers(5, VOCABULARY, size=draw.integers(5, 9)).tolist()} for _ in range(ROWS)
        ]
        for i, row in enumerate(self.rows):
            row["attention_mask"] = [1] * len(row["input_ids"])
            if labels is not None:
                row["labels"] = labels(i)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return dict(self.rows[i])


def bert(kind, **more):
    config = transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16, **more,
    )  # fmt: skip
    torch.manual_seed(0)
    return getattr(transformers, f"BertFor{kind}")(config)


def gpt2(**more):
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=16, bos_token_id=1, eos_token_id=2, **more
    )
    torch.manual_seed(0)
    return transformers.GPT2LMHeadModel(config)


class Masking:
    """A collator that pads, and masks anew each time."""

    def __call__(self, features):
        width = max(len(f["input_ids"]) for f in features)
        ids = torch.zeros(len(features), width, dtype=torch.long)
        for row, f in zip(ids, features, strict=True):
            row[: len(f["input_ids"])] = torch.tensor(f["input_ids"])
        drawn = (torch.rand(ids.shape) < 0.3) & (ids > 0)
        drawn[:, 1] = True
        return {
            "input_ids": torch.where(drawn, 3, ids), "attention_mask": (ids > 0).long(),
            "labels": torch.where(drawn, ids, -100),
        }  # fmt: skip


def following(features):
    batch = Masking()(features)
    ids = torch.where(batch["labels"] >= 0, batch["labels"], batch["input_ids"])
    return {
        "input_ids": ids, "attention_mask": batch["attention_mask"],
        "labels": torch.where(batch["attention_mask"] == 1, ids, -100),
    }  # fmt: skip


def classes(features):
    batch = following(features)
    return batch | {"labels": torch.tensor([f["labels"] for f in features])}


def trainer(tmp_path, model, collator, labels=None, evaluated=None, **more):
    args = transformers.TrainingArguments(
        output_dir=str(tmp_path), per_device_train_batch_size=4, report_to=[], save_strategy="no", disable_tqdm=True,
        use_cpu=True, logging_strategy="no", **({"learning_rate": 1e-3, "num_train_epochs": 2} | more),
    )  # fmt: skip
    return transformers.Trainer(
        model=model, args=args, train_dataset=Rows(labels), data_collator=collator, eval_dataset=evaluated
    )


CASES = {
    "BERT, masked": lambda p, **m: trainer(p, bert("MaskedLM"), Masking(), **m),
    "GPT-2": lambda p, **m: trainer(p, gpt2(), following, **m),
    "BERT, classes": lambda p, **m: trainer(p, bert("SequenceClassification"), classes, lambda i: i % 2, **m),
    "BERT, a number": lambda p, **m: trainer(
        p, bert("SequenceClassification", num_labels=1), classes, lambda i: float(i), **m
    ),
    "BERT, classes of tokens": lambda p, **m: trainer(
        p, bert("TokenClassification", num_labels=VOCABULARY), Masking(), **m
    ),
}
