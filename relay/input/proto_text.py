"""A `.proto` file as text → its descriptor, for registries that keep Protobuf schemas as text only.

In: the text. Out: a `FileDescriptorProto`, names not yet resolved: the descriptor pool does that. Understood is what says how bytes are
read: messages, enums, fields, maps, oneofs and groups of proto2 and proto3. Options but `json_name` and `packed`, services, extensions and
reserved ranges are passed over. Editions are refused.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from google.protobuf import descriptor_pb2

DEPTH_MAX: Final = 32

_TOKEN: Final = re.compile(
    r"""\s+|//[^\n]*|/\*.*?\*/|(?P<name>\.?[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)|(?P<number>-?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?))"""
    r"""|(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(?P<sign>[{}\[\]()<>;,=:/+.-])""",
    re.DOTALL,
)
_Field: Final[Any] = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final[dict[str, int]] = {
    name: getattr(_Field, f"TYPE_{name.upper()}")
    for name in (
        *("double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64"),
        *("fixed32", "fixed64", "sfixed32", "sfixed64", "bool", "string", "bytes"),
    )
}
_LABELS: Final[dict[str, int]] = {
    "optional": _Field.LABEL_OPTIONAL,
    "required": _Field.LABEL_REQUIRED,
    "repeated": _Field.LABEL_REPEATED,
}
_CLOSING: Final = {"{": "}", "[": "]", "(": ")", "<": ">"}


class NotProto(ValueError):  # noqa: N818  # a fact about a text
    """The text is no `.proto` file that is understood."""


def parse_proto(text: str, name: str) -> Any:
    """The file's descriptor. Raises `NotProto`."""
    return _File(list(_words(text)), name).parse()


def _words(text: str) -> Iterator[str]:
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise NotProto(f"line {text.count(chr(10), 0, place) + 1}: nothing of a .proto file")
        if found.lastgroup is not None:
            yield found.group()
        place = found.end()


class _File:
    def __init__(self, tokens: list[str], name: str) -> None:
        self._words = tokens
        self._place = 0
        self._file: Any = descriptor_pb2.FileDescriptorProto(name=name, syntax="proto2")

    def parse(self) -> Any:  # noqa: C901  # a branch for each statement of the grammar
        while self._place < len(self._words):
            match self._next():
                case "syntax":
                    self._expect("=")
                    self._file.syntax = _unquoted(self._next())
                    self._expect(";")
                case "edition":
                    raise NotProto("editions are not understood; write proto3 or proto2")
                case "package":
                    self._file.package = self._next()
                    self._expect(";")
                case "import":
                    if self._peek() in ("public", "weak") and self._next() == "public":
                        self._file.public_dependency.append(len(self._file.dependency))
                    self._file.dependency.append(_unquoted(self._next()))
                    self._expect(";")
                case "message":
                    self._message(self._file.message_type.add(), 0)
                case "enum":
                    self._enum(self._file.enum_type.add())
                case ";":
                    pass
                case _:  # option, service, extend
                    self._pass_over()
        if self._file.syntax not in ("proto2", "proto3"):
            raise NotProto("neither proto2 nor proto3")
        if self._file.syntax == "proto2":
            self._file.ClearField("syntax")
        return self._file

    # --- messages and their fields ----------------------------------------------------------------------------------------------------

    def _message(self, message: Any, depth: int) -> None:
        message.name = self._next()
        self._body(message, depth)

    def _body(self, message: Any, depth: int) -> None:  # noqa: C901  # likewise
        if depth > DEPTH_MAX:
            raise NotProto(f"messages are nested deeper than {DEPTH_MAX}")
        self._expect("{")
        optional: list[Any] = []  # proto3's, each of which becomes a oneof of its own, behind the others
        while (word := self._next()) != "}":
            match word:
                case "message":
                    self._message(message.nested_type.add(), depth + 1)
                case "enum" if self._peek(1) == "{":
                    self._enum(message.enum_type.add())
                case "oneof" if self._peek(1) == "{":
                    self._oneof(message, depth)
                case "option" | "reserved" | "extensions" | "extend":
                    self._pass_over()
                case ";":
                    pass
                case "map" if self._peek() == "<":
                    self._map(message)
                case _:
                    field = self._field(message, word, depth)
                    if word == "optional" and self._file.syntax == "proto3":
                        optional.append(field)
        for field in optional:
            field.proto3_optional = True
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field.name}")

    def _field(self, message: Any, word: str, depth: int) -> Any:
        field = message.field.add(label=_LABELS.get(word, _Field.LABEL_OPTIONAL))
        kind = self._next() if word in _LABELS else word
        field.name = self._next()
        self._expect("=")
        field.number = self._number()
        if kind == "group":
            nested = message.nested_type.add(name=field.name)
            field.name, field.type, field.type_name = field.name.lower(), _Field.TYPE_GROUP, nested.name
            self._body(nested, depth + 1)
            return field
        _set_type(field, kind)
        self._options(field)
        return field

    def _map(self, message: Any) -> None:
        self._expect("<")
        key = self._next()
        self._expect(",")
        value = self._next()
        self._expect(">")
        field = message.field.add(label=_Field.LABEL_REPEATED, name=self._next(), type=_Field.TYPE_MESSAGE)
        self._expect("=")
        field.number = self._number()
        entry = message.nested_type.add(name="".join(part[:1].upper() + part[1:] for part in field.name.split("_")) + "Entry")
        entry.options.map_entry = True
        for number, (name, kind) in enumerate((("key", key), ("value", value)), start=1):
            _set_type(entry.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL), kind)
        field.type_name = entry.name
        self._options(field)

    def _oneof(self, message: Any, depth: int) -> None:
        index = len(message.oneof_decl)
        message.oneof_decl.add(name=self._next())
        self._expect("{")
        while (word := self._next()) != "}":
            if word == "option":
                self._pass_over()
            elif word != ";":
                self._field(message, word, depth).oneof_index = index

    def _options(self, field: Any) -> None:
        """What stands in brackets after a field; of that only two things say anything about bytes or names."""
        if self._peek() == "[":
            word = self._next()
            while word != "]":
                self._option(field)
                word = self._next()
                if word not in (",", "]"):
                    raise NotProto(f"options of the field {field.name}: expected , or ]")
        self._expect(";")

    def _option(self, field: Any) -> None:
        name = self._next()
        if name == "(":
            self._skip_to(")")
            while self._peek() != "=":
                self._next()
        self._expect("=")
        value = self._next()
        if value in _CLOSING:
            self._skip_to(_CLOSING[value])
        elif name == "json_name":
            field.json_name = _unquoted(value)
        elif name == "packed":
            field.options.packed = value == "true"
        while self._peek()[:1] in ("'", '"') or value in ("-", "+"):  # text in pieces, a sign before a number
            value = self._next()

    def _enum(self, enum: Any) -> None:
        enum.name = self._next()
        self._expect("{")
        while (word := self._next()) != "}":
            if word == "option" and self._peek() == "allow_alias":
                enum.options.allow_alias = True
                self._pass_over()
            elif word in ("option", "reserved") and self._peek() != "=":
                self._pass_over()
            elif word != ";":
                value = enum.value.add(name=word)
                self._expect("=")
                value.number = self._number()
                while self._next() != ";":
                    pass

    # --- words ------------------------------------------------------------------------------------------------------------------------

    def _next(self) -> str:
        if self._place >= len(self._words):
            raise NotProto("the text ends too early")
        self._place += 1
        return self._words[self._place - 1]

    def _peek(self, ahead: int = 0) -> str:
        place = self._place + ahead
        return self._words[place] if place < len(self._words) else ""

    def _expect(self, word: str) -> None:
        if (found := self._next()) != word:
            raise NotProto(f"expected {word}, found {found[:40]}")

    def _number(self) -> int:
        text = self._next()
        if text == "-":
            text += self._next()
        try:
            return int(text, 8 if re.fullmatch(r"-?0[0-7]+", text) else 0)
        except ValueError:
            raise NotProto(f"expected a whole number, found {text[:40]}") from None

    def _pass_over(self) -> None:
        """To the end of a statement: a semicolon, or the end of its braces."""
        while True:
            word = self._next()
            if word == ";":
                return
            if word in _CLOSING:
                self._skip_to(_CLOSING[word])
                if word == "{" and self._peek() != ";":
                    return

    def _skip_to(self, closing: str) -> None:
        waiting = [closing]
        while waiting:
            word = self._next()
            if word == waiting[-1]:
                waiting.pop()
            elif word in _CLOSING and word != "<":
                waiting.append(_CLOSING[word])


def _set_type(field: Any, kind: str) -> None:
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type_name = kind  # message or enum: the pool finds out


def _unquoted(word: str) -> str:
    if word[:1] not in ("'", '"'):
        raise NotProto(f"expected a text in quotes, found {word[:40]}")
    return re.sub(r"\\(.)", r"\1", word[1:-1])
