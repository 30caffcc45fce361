"""Recipes of easq 0.1, whose keys of methods stood in [model], [alignment] and [baselines], in today's form.

A home keeps the recipe that it was made with, so homes of 0.1 are read in this way. A recipe that a user
writes is refused with its new form, because a key that nothing read was silently accepted then.
"""

from collections.abc import Mapping
from typing import Any

import tomli_w

from easq.recipe.method import DEFAULT_KIND, MethodReader, UnreadMethod
from easq.recipe.values import TomlTable

_SHARED = ("dim", "hidden", "head_width", "eps")
_OLD_MODEL = (
    *("method", "experts", "expert_width", "satisfaction_experts", "routing", "top_k", "rank", "lora_init"),
    *("probe_dim", "answers_move_embeddings", "satisfaction_variance"),
)
_ANSWERS = ("buffer", "replayed", "viewer_weight", "uncertain")
_RENAMED = {
    "method": "kind",
    "emer_layers": "layers",
    "emer_heads": "heads",
    "emer_watch": "watch",
    "emer_top": "top",
    "emer_serving_steps": "serving_steps",
    "emer_list": "list_length",
    "saqrec_buckets": "buckets",
}
_PROBE = {"satisfaction_share": "max_share", "behavior_tolerance": "behavior_budget"}
_OTHER = {"behavior_tolerance": "pair_accuracy_budget"}


def is_old(data: Mapping[str, Any]) -> bool:
    """Return whether plain TOML data is a recipe of easq 0.1."""
    model = data.get("model")
    moved = set(model) & set(_OLD_MODEL) if isinstance(model, dict) else set()
    return "method" not in data and ("alignment" in data or "baselines" in data or bool(moved))


def key_of_today(key: str, kind: str) -> str | None:
    """Return today's name of a key of 0.1, None if it is called so today or never was.

    >>> [key_of_today(key, "probe") for key in ("model.method", "alignment.buffer", "model.dim")]
    ['method.kind', 'answers.buffer', None]
    """
    table, _, name = key.partition(".")
    if table not in ("alignment", "baselines") and not (table == "model" and name in _OLD_MODEL):
        return None
    if name in _ANSWERS:
        return f"answers.{name}"
    return f"method.{(_RENAMED | (_PROBE if kind == 'probe' else _OTHER)).get(name, name)}"


def upgrade(data: Mapping[str, Any], methods: MethodReader) -> TomlTable:
    """Return the data of a recipe of 0.1 in today's form; of a method's keys those that it reads stay."""
    old_model = data.get("model", {})
    tables = [data.get(name, {}) for name in ("model", "baselines", "alignment")]
    kind = old_model.get("method", DEFAULT_KIND)
    renamed = _RENAMED | (_PROBE if kind == "probe" else _OTHER)
    method: TomlTable = {"kind": kind}
    for table in tables:
        method |= {renamed.get(k, k): v for k, v in table.items() if k not in (*_SHARED, *_ANSWERS)}
    answers = {k: v for k, v in data.get("alignment", {}).items() if k in _ANSWERS}
    if "scope" in method:
        method["partners"] = method["scope"] != "batch"
    settings = methods({"kind": kind}, [])
    if not isinstance(settings, UnreadMethod):
        method = {k: v for k, v in method.items() if k in ("kind", *settings.__struct_fields__)}
    rest = {k: v for k, v in data.items() if k not in ("model", "baselines", "alignment")}
    model = {k: v for k, v in old_model.items() if k in _SHARED}
    return {**rest, "model": model, "answers": answers, "method": method}


def old_form_message(data: Mapping[str, Any], methods: MethodReader) -> str:
    """Return what a user reads whose recipe has the old form: its tables as they are written now."""
    new = upgrade(data, methods)
    tables = {name: new[name] for name in ("model", "answers", "method") if new[name]}
    return (
        "this is of easq 0.1: its keys of methods are in [model], [alignment] and [baselines]. Now "
        f"[method] has those that its method reads. Write instead:\n\n{tomli_w.dumps(tables)}"
    )
