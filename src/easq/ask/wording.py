"""The wording of questions: built in for some, in English and Chinese, otherwise from the recipe."""

from collections.abc import Mapping
from typing import NamedTuple

from easq.ask.policy import choose, sticky
from easq.recipe.questionnaire import BUILT_IN, SCALE5, AskedQuestion, Question, Wording
from easq.recipe.recipe import Recipe

_WORDINGS = {
    "satisfaction": {
        "en": Wording(
            text="Are you satisfied with this video?",
            labels=("Not satisfied", "Not sure", "Satisfied"),
            thanks="Thank you!",
        ),
        "zh": Wording(text="你对这个视频满意吗？", labels=("不满意", "不确定", "满意"), thanks="谢谢！"),
    },
    "come_back": {
        "en": Wording(
            text="How likely are you to come back for more like this?",
            labels=("Very unlikely", "Unlikely", "Maybe", "Likely", "Very likely"),
            thanks="Thank you!",
        ),
        "zh": Wording(
            text="你有多大可能再来看类似的视频？",
            labels=("非常不可能", "不太可能", "说不准", "比较可能", "非常可能"),
            thanks="谢谢！",
        ),
    },
    "worth_time": {
        "en": Wording(
            text="Was this video worth your time?", labels=("No", "Partly", "Yes"), thanks="Thank you!"
        ),
        "zh": Wording(text="这个视频值得你花时间吗？", labels=("不值得", "还可以", "值得"), thanks="谢谢！"),
    },
}


class WordedQuestion(NamedTuple):
    """One question as it is asked. `values` are logged, and each wording has a label for each value."""

    name: str
    share: float
    values: tuple[str, ...]
    version: str
    wording: Mapping[str, Wording]
    is_scale: bool


class Questions:
    """All questions of a recipe. Which one a view gets is as sticky as whether it is asked."""

    def __init__(self, recipe: Recipe) -> None:
        ask = recipe.ask
        asked = ask.questions or (_training(recipe.question),)
        total = sum(question.share for question in asked)
        self._by_name = {q.name: _worded(q, q.share / total, recipe) for q in asked}
        self._default, self._is_shuffled = ask.default_locale, ask.order == "random"

    def pick(self, salt: bytes, *view: str) -> WordedQuestion:
        """Return the question that a view would get."""
        questions = list(self._by_name.values())
        return questions[choose([q.share for q in questions], sticky(salt, "question", *view))]

    def order(self, question: WordedQuestion, salt: bytes, *view: str) -> list[str]:
        """Return the values in the order in which they are shown on this view."""
        if not self._is_shuffled or question.is_scale:
            return list(question.values)
        return sorted(question.values, key=lambda value: sticky(salt, "order", value, *view))

    def locale(self, question: WordedQuestion, wanted: str) -> str:
        """Return the locale nearest to the wanted one: the same, its language, the default, or the first."""
        known = {name.lower(): name for name in question.wording}
        language = wanted.lower().replace("_", "-")
        for name in (language, language.partition("-")[0], self._default.lower()):
            if name in known:
                return known[name]
        return next(iter(question.wording))

    def wording(self, name: str, version: str, locale: str) -> tuple[WordedQuestion, Wording] | None:
        """Return a question with its wording, None if that version and locale is no longer asked."""
        question = self._by_name.get(name)
        if question is None or question.version != version or locale not in question.wording:
            return None
        return question, question.wording[locale]


def _training(question: Question) -> AskedQuestion:
    return AskedQuestion(name=question.name, kind="scale5" if question.options == SCALE5 else "options")


def _worded(question: AskedQuestion, share: float, recipe: Recipe) -> WordedQuestion:
    trains = question.name == recipe.question.name
    built_in = BUILT_IN.get(question.name)
    values = recipe.question.options if trains else built_in or question.options or SCALE5
    wording: dict[str, Wording] = {}
    if values == built_in and (not trains or recipe.question.text == Question().text):
        wording = dict(_WORDINGS[question.name])
    elif trains:
        own = Wording(text=recipe.question.text, labels=recipe.question.options, thanks="Thank you!")
        wording = {recipe.ask.default_locale: own}
    return WordedQuestion(
        question.name,
        share,
        values,
        question.version,
        {**wording, **question.wording},
        question.kind == "scale5",
    )
