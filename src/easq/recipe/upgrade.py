"""Recipes of earlier releases in today's form.

In easq 0.1 the keys of methods stood in [model], [alignment] and [baselines]. Until 0.2 `behavior` and
`probe` were what is now `behavior_2026_11` and `probe_2026_11`, and a recipe without a kind meant `easq`.

A home keeps the recipe that it was made with, so homes of then are read in this way. A recipe that a user
writes is refused with its new form, because a key that nothing read was silently accepted then.
"""

from collections.abc import Mapping
from typing import Any

import tomli_w

from easq.recipe.recipe import DEFAULT_KIND_UNTIL_0_2, MethodReader, UnreadMethod
from easq.recipe.values import TomlTable

_SHARED = ("dim", "hidden", "head_width", "eps")
_OLD_MODEL = (
    *("method", "experts", "expert_width", "satisfaction_experts", "routing", "top_k", "rank", "lora_init"),
    *("probe_dim", "answers_move_embeddings", "satisfaction_variance"),
)
_ANSWERS = ("buffer", "replayed", "viewer_weight", "uncertain")
_OLD_BASELINES = (
    *("satisfaction_share", "emer_layers", "emer_heads", "emer_watch", "emer_top", "emer_serving_steps"),
    *("emer_list", "saqrec_buckets"),
)
_OLD_ALIGNMENT = (
    *("behavior_tolerance", "ridge", "satisfaction_weight", "dpo_weight", "beta", "scope", "unasked"),
    *("propensity_weights", "propensity_floor", "teacher", "teacher_weight"),
)
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
_OLD_KEYS = {"model": _OLD_MODEL, "baselines": _OLD_BASELINES, "alignment": _OLD_ALIGNMENT}
_RENAMED_KINDS = {"behavior": "behavior_2026_11", "probe": "probe_2026_11"}
_KEYS_UNTIL_0_2 = ("experts", "expert_width", "routing", "top_k", "probe_dim", "partners")
"""Keys that `behavior` and `probe` had until 0.2 and have no more; a home writes all of them out."""
_EASQ_UNTIL_0_2: TomlTable = {"answer_rate": 0.0, "activation": "relu"}
"""What `easq` did before it had these keys: one optimizer for both paths, and ReLU."""
_PROBE = {"satisfaction_share": "max_share", "behavior_tolerance": "behavior_budget"}
_PROBES = ("probe", "probe_2026_11")
_OTHER = {"behavior_tolerance": "pair_accuracy_budget"}


def is_old(data: Mapping[str, Any]) -> bool:
    """Return whether plain TOML data is a recipe of easq 0.1."""
    model = data.get("model")
    moved = set(model) & set(_OLD_MODEL) if isinstance(model, dict) else set()
    return "method" not in data and ("alignment" in data or "baselines" in data or bool(moved))


def renamed_kind(table: Mapping[str, Any]) -> str | None:
    """Return what a `[method]` of easq 0.2 is called today, None if it is one of today."""
    kind = table.get("kind")
    if not isinstance(kind, str) or not set(table) & set(_KEYS_UNTIL_0_2):
        return None
    return _RENAMED_KINDS.get(kind)


def upgrade_kept(data: TomlTable, methods: MethodReader) -> TomlTable:
    """Return the data of a recipe that easq itself wrote out, in any release, in today's form."""
    data = upgrade(data, methods) if is_old(data) else data
    table = _table(data, "method")
    kind = renamed_kind(table) or table.get("kind", DEFAULT_KIND_UNTIL_0_2)
    added = _EASQ_UNTIL_0_2 if kind == "easq" and "answer_rate" not in table else {}
    return {**data, "method": {**added, **table, "kind": kind}} if table else data


def key_of_today(key: str, kind: str) -> str | None:
    """Return today's name of a key of 0.1, None if it is called so today or never was.

    >>> [key_of_today(key, "probe") for key in ("model.method", "alignment.buffer", "model.dim")]
    ['method.kind', 'answers.buffer', None]
    """
    table, _, name = key.partition(".")
    if table == "alignment" and name in _ANSWERS:
        return f"answers.{name}"
    if name not in _OLD_KEYS.get(table, ()):
        return None
    if name == "scope" and kind != "easq":
        return "method.partners"
    return f"method.{(_RENAMED | (_PROBE if kind in _PROBES else _OTHER)).get(name, name)}"


def upgrade(
    data: Mapping[str, Any], methods: MethodReader, default_kind: str = DEFAULT_KIND_UNTIL_0_2
) -> TomlTable:
    """Return the data of a recipe of 0.1 in today's form; of a method's keys those that it reads stay."""
    tables = [_table(data, name) for name in ("model", "baselines", "alignment")]
    old_model, _, alignment = tables
    named = old_model.get("method")
    kind = default_kind if named is None else _RENAMED_KINDS.get(str(named), named)
    renamed = _RENAMED | (_PROBE if kind in _PROBES else _OTHER)
    method: TomlTable = {"kind": kind}
    for table in tables:
        method |= {renamed.get(k, k): v for k, v in table.items() if k not in (*_SHARED, *_ANSWERS)}
    method["kind"] = kind
    answers = {k: v for k, v in alignment.items() if k in _ANSWERS}
    if method.get("unasked") == "distill" and kind != "easq":
        method["unasked"] = "none"  # 0.1 took it of every method; the others' losses did not read it
    if "scope" in method:
        method["partners"] = method["scope"] != "batch"
    settings = methods({"kind": kind}, [])
    if not isinstance(settings, UnreadMethod):
        method = {k: v for k, v in method.items() if k in ("kind", *settings.__struct_fields__)}
    rest = {k: v for k, v in data.items() if k not in ("model", "baselines", "alignment")}
    model = {k: v for k, v in old_model.items() if k in _SHARED}
    return {**rest, "model": model, "answers": answers, "method": method}


def old_form_message(
    data: Mapping[str, Any], methods: MethodReader, default_kind: str = DEFAULT_KIND_UNTIL_0_2
) -> str:
    """Return what a user reads whose recipe has the old form: its tables as they are written now.

    `default_kind` is the method of a recipe that names none.
    """
    new = upgrade(data, methods, default_kind)
    tables = {name: new[name] for name in ("model", "answers", "method") if new[name]}
    kind = new["method"]["kind"]
    written = {f"{name}.{key}" for name, table in tables.items() for key in table}
    old = [f"{name}.{key}" for name in _OLD_KEYS for key in _table(data, name)]
    left_out = [key for key in old if (key_of_today(key, kind) or key) not in written]
    note = f" {kind} does not read these, so leave them out: {', '.join(left_out)}." if left_out else ""
    return (
        "this is of easq 0.1: its keys of methods are in [model], [alignment] and [baselines]. Now "
        f"[method] has those that its method reads.{note} Write instead:\n\n{tomli_w.dumps(tables)}"
    )


def _table(data: Mapping[str, Any], name: str) -> TomlTable:
    table = data.get(name, {})
    return table if isinstance(table, dict) else {}
