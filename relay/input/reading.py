"""The input by its name: a preset, a mapping file, or either of them inside of CloudEvents envelopes.

In: what RELAY_INPUT__MAPPING says, and the decoder of the format. Out: what reads records. A mapping that cannot be used stops the start,
with a line for each mistake.
"""

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from relay.errors import SettingsError
from relay.input import presets
from relay.input.cloudevents import PREFIX, CloudEvents
from relay.input.decoding import Decodes
from relay.input.mapping.compiling import Compiled, compile_mapping
from relay.input.mapping.document import Document, read
from relay.input.mapping.mapped import MappedInput
from relay.input.mapping.vocabulary import START_REQUIRED
from relay.input.native import NativeInput

Reader = NativeInput | MappedInput

MAPPING_BYTES_MAX: Final = 2**20


def prepare_reader(
    mapping: str,
    *,
    ignore_unknown_fields: bool = False,
    start_defaults: Mapping[str, Any] | None = None,
    start_required: frozenset[str] = START_REQUIRED,
) -> Callable[[Decodes], Reader]:
    """What makes a reader by this mapping, once the decoder is there. Raises `SettingsError` when the mapping cannot be used."""
    has_envelopes, name = mapping.startswith(PREFIX), mapping.removeprefix(PREFIX)
    mapped = None if name == presets.NATIVE else compiled(name, start_defaults=start_defaults, start_required=start_required)

    def with_decoder(decoder: Decodes) -> Reader:
        inner = CloudEvents(decoder) if has_envelopes else decoder
        return NativeInput(ignore_unknown_fields=ignore_unknown_fields, decoder=inner) if mapped is None else MappedInput(mapped, inner)

    return with_decoder


def compiled(mapping: str, *, start_defaults: Mapping[str, Any] | None = None, start_required: frozenset[str] = START_REQUIRED) -> Compiled:
    """A preset or a file, compiled. Raises `SettingsError`."""
    return compile_mapping(find(mapping), start_defaults=start_defaults, start_required=start_required)


def find(mapping: str) -> Document:
    """A preset or a file, read. Raises `SettingsError`."""
    text = presets.text_of(mapping)
    if text is not None:
        return read(text, f"preset {mapping}")
    path = Path(mapping)
    try:
        if path.stat().st_size > MAPPING_BYTES_MAX:
            raise SettingsError(f"{mapping} is larger than {MAPPING_BYTES_MAX} bytes; is it really a mapping?")
        return read(path.read_text("utf-8"), mapping)
    except FileNotFoundError:
        nearest = difflib.get_close_matches(mapping, presets.names(), n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        raise SettingsError(
            f"RELAY_INPUT__MAPPING: {mapping!r} is neither a file nor a preset{hint}; presets are {', '.join(presets.names())},"
            f" each also as {PREFIX}NAME"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"RELAY_INPUT__MAPPING: {mapping} cannot be read ({error}); check the path and its rights") from None
