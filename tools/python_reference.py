"""Write docs/reference/python.md from the docstrings of `sealflow.owner`."""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import re
import textwrap
from dataclasses import dataclass, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sealflow.owner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "reference" / "python.md"

SUBJECTS: Final = {
    "Clients": (
        "Client AsyncClient QueueClient InputQueue OutputQueue BrokerAddress Image Tensors"
    ),
    "Results": "InferResult Label Outcome ModelRef Tensor TensorSpec DataType DirectoryModel",
    "Trust": (
        "load_policy describe_policy PolicyLine TrustPolicy Policy SimulationPolicy Requirements "
        "TdxRequirements SnpRequirements OutOfDateWaiver TcbStatus PlatformFlag SuiteName Tee Role "
        "TrustedVerifier TrustedWitness WitnessRequirements "
        "TrustDomain TrustReport Visibility ProvenFact"
    ),
    "Models": "OwnerKey create_owner_key load_owner_key pack_folder Revoked RevokedKind",
    "Audit": (
        "audit_log AuditedLog LogEntry EntryKind ReceiptProof verify_receipt VerifiedReceipt "
        "Receipt SignedReceipt"
    ),
    "Errors": (
        "SealflowError ConfigError MalformedError NewerFormatError EnvelopeTooLargeError OpenError "
        "VerificationError EvidenceError PolicyError Mismatch RefusedError RefusalCode ModelError "
        "InvalidInputError TenantRefusedError QuotaExceededError BundleError UnavailableError "
        "QueueFullError DeadlineError WorkerGoneError"
    ),
}
SECTIONS: Final = ("Args", "Attributes", "Returns", "Yields", "Raises", "Example")
HEAD: Final = """\
# Python reference

The public names of `sealflow.owner`; everything below it is private. The
[guide](../guide/python-client.md) shows how they work together, [errors](errors.md) has all codes.
Import them as `from sealflow.owner import …`; a name loads its libraries when it is first used.

Times and sizes have their unit in the name: `_s` seconds, `_ms` Unix milliseconds, `_bytes` bytes.
Digests and ids are lower-case hex. The package has `py.typed`; tests check a user's program with
`mypy --strict` and with pyright in strict mode.

The examples run in a test, after `from sealflow.owner import *`, with the cluster of
`sealflow up --model examples/tiny --model examples/efficientnet-lite0`. `client` is an open
`Client`, `queue` an open `QueueClient`, `broker` the `broker_url` in `.sealflow/cluster.json`;
`cat.jpg` is a photo, `my-model` a folder with a model, `other.toml` a policy that names other code.

This file is made by `make docs` from the docstrings.
"""
_HEADINGS: Final = {
    "Args": "argument",
    "Attributes": "attribute",
    "Returns": "Returns",
    "Yields": "Yields",
    "Raises": "raises",
}
_PATH: Final = re.compile(r"\bdocs/((?:spec|reference)/([\w-]+)\.md)")
_SECTION: Final = re.compile(rf"^({'|'.join(SECTIONS)}):$", re.MULTILINE)
_WIDTH: Final = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Docstring:
    """A docstring's text before its sections, and the sections by name, without indentation."""

    text: str
    sections: Mapping[str, str]

    @classmethod
    def parse(cls, docstring: str) -> Docstring:
        """Split a Google-style docstring."""
        text, *rest = _SECTION.split(inspect.cleandoc(docstring))
        pairs = zip(rest[::2], rest[1::2], strict=True)
        return cls(
            text=text.strip(),
            sections={name: inspect.cleandoc("\n" + body).strip() for name, body in pairs},
        )

    def items(self, section: str) -> dict[str, str]:
        """Return the named items of a section, such as arguments, each on one line."""
        found = re.split(r"^(\*{0,2}\w+): ", self.sections.get(section, ""), flags=re.MULTILINE)
        return {
            name: " ".join(text.split())
            for name, text in zip(found[1::2], found[2::2], strict=True)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Documented:
    """A public name, or a public member of one.

    `source`: the class, function or property; the value as text for a type alias.
    """

    name: str
    source: Any
    docstring: Docstring

    @property
    def signature(self) -> str:
        """The signature as Python code; empty for a property or a type alias."""
        if isinstance(self.source, property | str):
            return ""
        function = self.source.__func__ if isinstance(self.source, classmethod) else self.source
        return _signature(self.name, function)

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """The public parameters, without `self` and `cls`."""
        function = self.source.__func__ if isinstance(self.source, classmethod) else self.source
        if isinstance(function, type) and issubclass(function, BaseException):
            function = function.__dict__.get("__init__", object.__init__)
        if isinstance(function, property | str) or function is object.__init__:
            return {}
        return {
            name: each
            for name, each in inspect.signature(function).parameters.items()
            if name not in ("self", "cls") and not name.startswith("_")
        }


def aliases(module: str) -> dict[str, tuple[str, str]]:
    """Return the values and docstrings of a module's type aliases, by name."""
    return _described(inspect.getsource(importlib.import_module(module)))


def public(name: str) -> Documented:
    """Return one public name with its docstring."""
    source = getattr(sealflow.owner, name)
    if inspect.isclass(source) or inspect.isfunction(source):
        docstring = source.__doc__ or ""
    else:
        source, docstring = aliases(sealflow.owner._MODULES[name])[name]  # noqa: SLF001
    return Documented(name=name, source=source, docstring=Docstring.parse(docstring))


def members(owner: Documented) -> Iterator[Documented]:
    """Yield the public methods and properties of a class of ours, in the order of its text."""
    if not inspect.isclass(owner.source):
        return
    for name, each in vars(owner.source).items():
        callable_ = inspect.isfunction(each) or isinstance(each, classmethod | property)
        if name.startswith("_") or not callable_:
            continue
        docstring = Docstring.parse(each.__doc__ or "")
        yield Documented(name=f"{owner.name}.{name}", source=each, docstring=docstring)


def attributes(source: type) -> tuple[str, ...]:
    """Return the public fields of a dataclass."""
    if not is_dataclass(source):
        return ()
    return tuple(each.name for each in fields(source) if not each.name.startswith("_"))


def page() -> str:
    """Return the page's text."""
    lines = [HEAD]
    subjects = {title: [public(name) for name in text.split()] for title, text in SUBJECTS.items()}
    for title, names in subjects.items():
        links = ", ".join(f"[`{each.name}`](#{each.name.lower()})" for each in names)
        lines.append(f"- [{title}](#{title.lower()}): {links}")
    for title, names in subjects.items():
        lines.append(f"\n## {title}")
        for each in names:
            lines += [f"\n### {each.name}\n", *_entry(each), *_values(each.source)]
            lines += _properties(each)
            for member in members(each):
                if not isinstance(member.source, property):
                    lines += [f"\n#### {member.name}\n", *_entry(member)]
    return _PATH.sub(r"[\2](../\1)", "\n".join(lines)) + "\n"


def _entry(found: Documented) -> Iterator[str]:
    docstring = found.docstring
    if isinstance(found.source, str):
        yield f"```python\n{found.name} = {found.source}\n```\n"
    elif found.signature:
        yield f"```python\n{found.signature}\n```\n"
    yield docstring.text
    for section, heading in _HEADINGS.items():
        items = docstring.items(section)
        if items:
            yield f"\n| {heading} | |\n|---|---|"
            for name, text in items.items():
                yield f"| `{name}` | {text.replace('|', chr(92) + '|')} |"
        elif section in docstring.sections:
            yield f"\n{heading}: {' '.join(docstring.sections[section].split())}"
    if "Example" in docstring.sections:
        yield f"\n```pycon\n{docstring.sections['Example']}\n```"


def _properties(owner: Documented) -> Iterator[str]:
    found = [each for each in members(owner) if isinstance(each.source, property)]
    if found:
        yield "\n| property | type | |\n|---|---|---|"
    for each in found:
        kind = str(each.source.fget.__annotations__["return"]).replace("|", "\\|")
        raised = "; ".join(
            f"raises `{name}`: {text}" for name, text in each.docstring.items("Raises").items()
        )
        text = " ".join(f"{each.docstring.text} {raised}".split())
        yield f"| `{each.name.partition('.')[2]}` | `{kind}` | {text} |"


def _values(source: Any) -> Iterator[str]:  # noqa: ANN401 - any public object
    if not (inspect.isclass(source) and issubclass(source, enum.Enum)):
        return
    said = {name: text for name, (_, text) in _described(inspect.getsource(source)).items()}
    yield "\n| member | value | |\n|---|---|---|"
    for name, member in source.__members__.items():
        yield f"| `{name}` | `{member.value!r}` | {said.get(name, '')} |"


def _described(text: str) -> dict[str, tuple[str, str]]:
    """Return value and docstring of each assignment that is followed by a docstring, by name."""
    found = {}
    for scope in ast.walk(ast.parse(text)):
        if not isinstance(scope, ast.Module | ast.ClassDef):
            continue
        for first, second in pairwise(scope.body):
            match first, second:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value),
                    ast.Expr(value=ast.Constant(value=str(docstring))),
                ):
                    found[name] = ast.unparse(value).replace('"', "").replace("'", ""), docstring
    return found


def _signature(name: str, function: Any) -> str:  # noqa: ANN401 - any public object
    """Return a function or constructor as a definition; empty if users do not call it."""
    if not inspect.isclass(function):
        called = inspect.signature(function)
        prefix = "async def " if _is_async(function) else "def "
        method = "self" in called.parameters or "cls" in called.parameters
        lines = ["@classmethod"] if "cls" in called.parameters else []
        last = name.rpartition(".")[2] if method or lines else name
        return "\n".join([*lines, _definition(prefix + last, called, called.return_annotation)])
    if issubclass(function, enum.Enum):
        return ""
    if issubclass(function, BaseException) and "__init__" not in vars(function):
        return ""
    called = inspect.signature(function)
    if any(each.startswith("_") for each in called.parameters):
        return ""
    self = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    called = called.replace(parameters=[self, *called.parameters.values()])
    return f"class {name}:\n" + textwrap.indent(_definition("def __init__", called, "None"), "    ")


def _definition(start: str, called: inspect.Signature, back: str) -> str:
    parts: list[str] = []
    for each in called.parameters.values():
        if each.kind is each.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        stars = "**" if each.kind is each.VAR_KEYWORD else ""
        kind = "" if each.annotation is each.empty else f": {each.annotation}"
        default = "" if each.default is each.empty else f" = {_default(each.default)}"
        parts.append(f"{stars}{each.name}{kind}{default}")
    line = f"{start}({', '.join(parts)}) -> {back}: ..."
    if len(line) <= _WIDTH:
        return line
    return f"{start}(\n" + "".join(f"    {part},\n" for part in parts) + f") -> {back}: ..."


def _is_async(function: Any) -> bool:  # noqa: ANN401 - any public object
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _default(value: object) -> str:
    if isinstance(value, frozenset | tuple) and value:
        members = ", ".join(f"{type(each).__name__}.{each.name}" for each in value)
        return f"({members})" if isinstance(value, tuple) else f"frozenset({{{members}}})"
    text = repr(value)
    return "{}" if text.startswith("<") else text  # the default of a new dictionary


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
