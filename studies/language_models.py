"""A small language model from a random start, as ``transformers`` trains one: word pieces, Trainer, held-out loss."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

LONGEST = 64
"""Pieces of a row; the rest is cut off."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def tokenizer_of(texts: Sequence[str], size: int, file: Path | None = None) -> Any:
    """Word pieces of these texts, lower-cased, ``size`` of them at most; those of the file, where it is there.

    Learning pieces breaks ties at random, so that a study that goes on needs the file that it wrote.
    """
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    if file is not None and file.exists():
        made = Tokenizer.from_file(str(file))
    else:
        made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        made.train_from_iterator(
            texts, trainers.WordPieceTrainer(vocab_size=size, special_tokens=list(SPECIAL), show_progress=False)
        )
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
        )
        if file is not None:
            made.save(str(file))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, mask_token="[MASK]", bos_token="[CLS]", **names)


def model_of(kind: str, words: int, hidden: int, *, seed: int = 0) -> Any:
    """A bert (masked) or gpt2 (causal) of two layers and two heads, drawn from the seed."""
    import transformers

    torch.manual_seed(seed)
    if kind == "bert":
        config = transformers.BertConfig(
            vocab_size=words, hidden_size=hidden, intermediate_size=4 * hidden, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=LONGEST,
        )  # fmt: skip
        return transformers.BertForMaskedLM(config)
    config = transformers.GPT2Config(
        vocab_size=words, n_embd=hidden, n_layer=2, n_head=2, n_positions=LONGEST, bos_token_id=2, eos_token_id=3
    )
    return transformers.GPT2LMHeadModel(config)


def rows_of(texts: Sequence[str], tokenizer: Any) -> list[dict[str, Any]]:
    """A row a text for a Trainer: text and input_ids."""
    return [
        {"text": text, "input_ids": ids}
        for text, ids in zip(
            texts, tokenizer(list(texts), truncation=True, max_length=LONGEST)["input_ids"], strict=True
        )
    ]


def trainer_of(
    model: Any, rows: Sequence[Any], collator: Any, folder: Path, *, epochs: float, rate: float, eps: float, **more: Any
) -> Any:
    """A Trainer with its defaults, but for what is given, that writes and prints nothing; on the processor."""
    import transformers

    arguments = transformers.TrainingArguments(
        str(folder), num_train_epochs=epochs, learning_rate=rate, adam_epsilon=eps, report_to=[], save_strategy="no",
        disable_tqdm=True, logging_strategy="no", use_cpu=True, dataloader_pin_memory=False, **more,
    )  # fmt: skip
    return transformers.Trainer(model, arguments, train_dataset=rows, data_collator=collator)


def held_out(batch: dict[str, torch.Tensor]) -> Any:
    """The model's own loss of a batch, as a function of the model."""

    def held_out_loss(model: Any) -> torch.Tensor:
        return model(**batch).loss

    return held_out_loss
