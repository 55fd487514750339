"""transformers' Trainer with its defaults: what recording and scoring cost, and how well scores predict retraining.

    python benchmarks/trainer.py CORPUS --model bert --out runs/trainer-bert

A model of two layers from a random start, by masked (bert) or causal (gpt2) language modelling on rows of a corpus:
AdamW with eps 1e-8, clipping at 1, linear decay, dropout .1. Objectives: SEAT of gender and career, loss of held-out
rows, and a mean log ratio of likelihoods of pairs. For each part of the rows left out at random: Spearman (LDS) and
Pearson of predicted and retrained changes over subsets, with 95 % intervals. Goes on where it stopped;
results/trainer-MODEL.json.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from record import RESULTS, Record
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

import crossloss as cl
from crossloss.integrations.transformers import record

PAIRS = [
    (f"{a} is a {job}", f"{b} is a {job}")
    for job, (a, b) in {
        "doctor": ("he", "she"), "scientist": ("he", "she"), "leader": ("he", "she"), "king": ("he", "she"),
        "writer": ("she", "he"), "singer": ("she", "he"), "student": ("she", "he"), "teacher": ("she", "he"),
    }.items()
]  # fmt: skip
CAREER = {
    "X": ["he", "man", "his", "brother"], "Y": ["she", "woman", "her", "sister"],
    "A": ["business", "office", "career", "professional"], "B": ["home", "family", "children", "marriage"],
}  # fmt: skip


def tokenizer_of(texts: list[str], size: int) -> Any:
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=size, special_tokens=special))
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, mask_token="[MASK]", bos_token="[CLS]", **names)


def model_of(kind: str, words: int, hidden: int) -> Any:
    torch.manual_seed(0)
    if kind == "bert":
        config = transformers.BertConfig(
            vocab_size=words, hidden_size=hidden, intermediate_size=4 * hidden, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=64,
        )  # fmt: skip
        return transformers.BertForMaskedLM(config)
    config = transformers.GPT2Config(
        vocab_size=words, n_embd=hidden, n_layer=2, n_head=2, n_positions=64, bos_token_id=2, eos_token_id=3
    )
    return transformers.GPT2LMHeadModel(config)


def held_out(batch: dict[str, torch.Tensor]) -> Any:
    def held_out_loss(model: Any) -> torch.Tensor:
        return model(**batch).loss

    return held_out_loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--model", choices=("bert", "gpt2"), default="bert")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--eps", type=float, default=1e-8)
    parser.add_argument("--subsets", type=int, default=30)
    parser.add_argument("--shares", type=float, nargs="+", default=(0.1, 0.01, 0.5, 0.05))
    given = parser.parse_args()
    every = [text for text in cl.read(given.corpus).texts if 40 < len(text) < 160]
    tokenizer = tokenizer_of(every, 3000)
    order = np.random.default_rng(0).permutation(len(every))
    rows = [{"text": every[i]} for i in order[: given.rows]]
    for row in rows:
        row |= {"input_ids": tokenizer(row["text"], truncation=True, max_length=64)["input_ids"]}
    masked = given.model == "bert"
    collator = transformers.DataCollatorForLanguageModeling(tokenizer, mlm=masked)
    others = [{"input_ids": tokenizer(every[i])["input_ids"][:64]} for i in order[given.rows : given.rows + 48]]
    torch.manual_seed(1)
    batch = dict(collator(others))

    def trainer() -> Any:
        arguments = transformers.TrainingArguments(
            str(given.out.with_suffix(".trainer")), num_train_epochs=given.epochs, learning_rate=given.rate,
            adam_epsilon=given.eps, report_to=[], save_strategy="no", disable_tqdm=True, logging_strategy="no",
            use_cpu=True, dataloader_pin_memory=False,
        )  # fmt: skip
        model = model_of(given.model, len(tokenizer), given.hidden)
        return transformers.Trainer(model, arguments, train_dataset=rows, data_collator=collator)

    objectives = [
        cl.objectives.seat(CAREER, tokenizer, name="career"), cl.objectives.as_objective(held_out(batch)),
        cl.objectives.likelihood_difference(PAIRS, tokenizer, model="masked" if masked else "causal"),
    ]  # fmt: skip
    name = given.model if given.eps == 1e-8 else f"{given.model}-eps{given.eps:g}"
    result, clock = Record(RESULTS / f"trainer-{name}.json"), time.perf_counter
    plain, mine = trainer(), trainer()
    begun = clock()
    plain.train()
    seconds = {"plain": clock() - begun}
    recorder = record(mine)
    begun = clock()
    mine.train()
    seconds["recorded"] = clock() - begun
    begun = clock()
    run = recorder.finish(given.out)
    seconds["finish"] = clock() - begun
    begun = clock()
    cl.score(run, objectives[:1])
    seconds["score_one"] = clock() - begun
    begun = clock()
    run.retrain(run.weights * (np.arange(len(rows)) > 0))
    seconds["retrain"] = clock() - begun
    result.put("parameters", sum(p.numel() for p in mine.model.parameters()))
    result.put("steps", run.steps)
    for label, value in seconds.items():
        result.put(f"seconds.{label}", value)
        result.put(f"times_plain.{label}", value / seconds["plain"])
    for o in objectives:
        result.put(f"value.{o.name}", float(o(run.view)))
    with cl.progress():
        for share in given.shares:
            made = cl.validate(run, objectives, subsets=given.subsets, share=share, strongest=0, plans={})
            for o, compared in made.fidelity.items():
                for row in compared:
                    if row.share == share:
                        f = row.fidelity
                        start = f"lds_{100 * share:g}.{o}.{row.estimator}"
                        result.put(start, [round(x, 4) for x in (f.spearman, f.spearman_low, f.spearman_high)])
                        result.put(
                            f"{start}.pearson", [round(x, 4) for x in (f.pearson, f.pearson_low, f.pearson_high)]
                        )
                        result.put(f"{start}.slope", round(f.slope, 4))


if __name__ == "__main__":
    main()
