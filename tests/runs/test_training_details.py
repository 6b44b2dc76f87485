"""How a training went: what was kept and why, and as JSON."""

import json

from mien.core.progress import Epoch
from mien.runs.training_details import TrainingDetails
from mien.schema import built

RISING = tuple(Epoch(number, 0.5, 0.8, 0.6, 0.7, 1.0) for number in range(1, 5))


def test_epochs_whose_weights_were_not_kept_say_nothing_of_a_classifier() -> None:
    for kept, epochs in (("frozen", 0), ("half-way", 0), ("finetuned", len(RISING))):
        assert len(TrainingDetails(kept=kept).kept_epochs(RISING)) == epochs
    assert TrainingDetails().kept_epochs(RISING) == RISING


def test_the_choice_names_what_was_kept_and_how_the_others_compare() -> None:
    details = TrainingDetails(
        kept="frozen",
        val_images=9,
        val_loss={"frozen": 0.25, "finetuned": 0.5},
        val_accuracy={"frozen": 1.0, "finetuned": 0.75},
    )
    assert details.choice == (
        "kept the pretrained backbone with a linear head, for the lowest loss on 9 validation images "
        "(loss 0.250, accuracy 100%); the fine-tuned network: loss 0.500, accuracy 75%"
    )
    assert TrainingDetails(strength=0.1).choice == ""


def test_details_come_back_whole_from_json_without_what_is_none() -> None:
    details = TrainingDetails(backbone="lite0", strength=0.1, temperature=1.5, onnx_max_difference=1e-7)
    document = json.loads(json.dumps(details.to_dict()))
    assert list(document) == ["backbone", "strength", "temperature", "onnx_max_difference"]
    assert built(TrainingDetails, document) == details
