"""The card of a version, from what is known of it."""

from srcnn_mlflow.measuring.model_card import CardFacts, SetScore, model_card

SCORE = SetScore("set5", "ee67db7e" * 4, 5, 28.42, 30.21, 0.8103, 0.8557, (0.61, 2.98))


def test_a_card_says_what_is_known_and_no_more() -> None:
    tags = {"architecture": "9-1-5", "dataset": "t91", "verdict": "promoted: better than bicubic"}
    given = {"optimizer": "muon", "lr": "0.001", "device": "cpu"}
    card = model_card(CardFacts("srcnn-x4", 3, 4, tags, given, (SCORE,), "the table"))
    assert card.startswith("# srcnn-x4 version 3\n")
    assert "| 28.42 / 0.8103 | 30.21 / 0.8557 | +1.79 | +0.61 to +2.98 |" in " ".join(
        card.split()
    ).replace("| ee67db7e | 5 ", "")
    assert "promoted: better than bicubic\n\nthe table" in card
    assert "- Recipe: optimizer=muon, lr=0.001\n" in card
    assert "--scale 4 --model 3 --input" in card
    assert "Commit" not in card
    assert "cpu" not in card


def test_of_what_was_not_measured_it_says_so() -> None:
    card = model_card(CardFacts("srcnn-x2", 1, 2, {}, {}, (), ""))
    assert "Nothing was measured yet." in card
    assert "Recipe" not in card
