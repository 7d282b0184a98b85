"""Programs and libraries: ELF files, section by section.

Formats: System V gABI, chapters 4 and 5 (header, sections, segments, symbols, notes); the GNU build id, debug link and .comment as
binutils write them.
"""

import dataclasses
import hashlib
import struct
from collections.abc import Iterator

from image_hash.causes import BUILD_ID, COMPILED_CODE, COMPILER_VERSION, DEBUG_INFORMATION, DEBUG_LINK, PLATFORM, UNKNOWN, Cause
from image_hash.differences import Difference
from image_hash.formats.content import Content, FormatError, LimitError, equal
from image_hash.formats.ranges import describe
from image_hash.formats.replaced import LARGEST, replaced
from image_hash.formats.shown import Fields, changed, shortened, text

MAGIC = b"\x7fELF"
# Sections by themselves are at most 65279 without an extension that no linked file needs.
_MOST_SECTIONS = 65279
_LARGEST_NAMES = 16 << 20
_LARGEST_SHOWN = 1 << 16
# Symbols of one file that functions are named by.
_MOST_SYMBOLS = 200_000
_SHOWN_NAMES = 3
# sh_type: SHT_SYMTAB, SHT_NOBITS, SHT_DYNSYM; sh_flags: SHF_EXECINSTR.
_SYMTAB, _NOBITS, _DYNSYM, _EXECUTABLE = 2, 8, 11, 4
# SHT_SYMTAB, SHT_RELA, SHT_REL, SHT_GROUP: their sh_info is an index that follows from other sections.
_INDEX_IN_INFO = (2, 4, 9, 17)
_BUILD_IDS = (".note.gnu.build-id", ".note.go.buildid")
_DEBUG = (".debug_", ".zdebug_", ".gnu.debuglto_", ".gnu_debugdata", ".gdb_index", ".stab", ".symtab", ".strtab", ".shstrtab")
_MACHINES = {3: "x86", 40: "ARM", 62: "x86-64", 183: "AArch64", 243: "RISC-V"}


@dataclasses.dataclass(frozen=True)
class _Section:
    """A section.

    Attributes:
        name: with a number behind it if it is not the first of that name.
        kind: sh_type.
        flags: sh_flags.
        address: sh_addr.
        data: empty for what takes no room in the file.
        size: in memory.
        fields: what else its header says.
    """

    name: str
    kind: int
    flags: int
    address: int
    data: Content
    size: int
    fields: Fields


class _Elf:
    """An ELF file, read.

    Attributes:
        platform: what it runs on.
        header: what else the header and the segments say; no offsets.
        sections: by name.
        headers: hash of all headers as they are: of the file, the segments and the sections.
        outside: hash of what is neither header nor section, but for zeros.
    """

    def __init__(self, content: Content) -> None:
        identity = content.exactly(0, 16, "an ELF header")
        if identity[:4] != MAGIC or identity[4] not in (1, 2) or identity[5] not in (1, 2):
            raise FormatError("no ELF header")
        wide = identity[4] == 2
        self._order = "<" if identity[5] == 1 else ">"
        self._wide = wide
        layout = self._order + ("2HL3QL6H" if wide else "2HL3LL6H")
        kind, machine, version, entry, program, table, flags, size, program_size, programs, section_size, count, names = struct.unpack(
            layout, content.exactly(16, struct.calcsize(layout), "an ELF header")
        )
        self.platform = (
            f"{_MACHINES.get(machine, f'machine {machine}')}, {64 if wide else 32} bits, {'little' if identity[5] == 1 else 'big'} endian"
        )
        covered = [(0, size)]
        segments = []
        segment = struct.Struct(self._order + ("2L6Q" if wide else "8L"))
        if programs and program_size != segment.size:
            raise FormatError(f"segment headers of {program_size} bytes")
        for number in range(programs):
            values = segment.unpack(content.exactly(program + number * segment.size, segment.size, "a segment header"))
            segments.append((f"segment {number}", " ".join(f"{value:#x}" for at, value in enumerate(values) if at != (2 if wide else 1))))
        covered.append((program, program + programs * segment.size))
        self.header: Fields = (
            ("identity", identity[6:].hex()),
            ("type", str(kind)),
            ("version", str(version)),
            ("entry point", f"{entry:#x}"),
            ("flags", f"{flags:#x}"),
            *segments,
        )
        self.sections: dict[str, _Section] = {}
        if count:
            self._read_sections(content, table, section_size, count, names, covered)
        digest = hashlib.sha256()
        for start, end in covered[: 3 if count else 2]:
            digest.update(content.exactly(start, end - start, "headers"))
        self.headers = digest.digest()
        self.outside = _outside(content, covered)

    def _read_sections(self, content: Content, table: int, size: int, count: int, names: int, covered: list[tuple[int, int]]) -> None:
        header = struct.Struct(self._order + ("2L4Q2L2Q" if self._wide else "10L"))
        if size != header.size:
            raise FormatError(f"section headers of {size} bytes")
        if count > _MOST_SECTIONS:
            raise LimitError(f"it has {count} sections, more than {_MOST_SECTIONS}")
        data = content.exactly(table, count * size, "section headers")
        covered.append((table, table + len(data)))
        headers = list(header.iter_unpack(data))
        if names >= count:
            raise FormatError(f"section {names}, with the names, is not among {count}")
        strings = content.part(headers[names][4], headers[names][5], "the names of sections").read(0, _LARGEST_NAMES)
        words = [text(strings[values[0] :][:_LARGEST_SHOWN].partition(b"\0")[0]) for values in headers]
        seen: dict[str, int] = {}
        for word, (_, kind, flags, address, start, length, link, info, align, entry_size) in zip(words, headers, strict=True):
            if not kind:  # SHT_NULL
                continue
            seen[word] = seen.get(word, 0) + 1
            name = word if seen[word] == 1 else f"{word} ({seen[word]})"
            part = content.part(start, 0 if kind == _NOBITS else length, f"the section {name}")
            covered.append((start, start + part.size))
            fields = (
                ("type", str(kind)),
                ("flags", f"{flags:#x}"),
                ("address", f"{address:#x}"),
                ("size", str(length)),
                ("alignment", str(align)),
                ("entry size", str(entry_size)),
                ("link", words[link] if link < count else str(link)),
                ("info", "" if kind in _INDEX_IN_INFO else str(info)),
            )
            self.sections[name] = _Section(name, kind, flags, address, part, length, fields)

    def functions(self) -> dict[str, bytes]:
        """Hash of the code of each function that a symbol names; those of .symtab, or else of .dynsym."""
        tables = {section.kind: section for section in self.sections.values() if section.kind in (_SYMTAB, _DYNSYM)}
        if not tables:
            return {}
        table = tables[min(tables)]
        strings = self.sections.get(".strtab" if table.kind == _SYMTAB else ".dynstr")
        if strings is None:
            return {}
        names = strings.data.read(0, _LARGEST_NAMES)
        symbol = struct.Struct(self._order + ("LBBHQQ" if self._wide else "LLLBBH"))
        data = table.data.read(0, _MOST_SYMBOLS * symbol.size)
        code = [section for section in self.sections.values() if section.flags & _EXECUTABLE and section.data.size]
        found = {}
        for values in symbol.iter_unpack(data[: len(data) // symbol.size * symbol.size]):
            name, info, value, size = (
                (values[0], values[1], values[4], values[5]) if self._wide else (values[0], values[3], values[1], values[2])
            )
            if info & 15 != 2 or not size:  # STT_FUNC
                continue
            for section in code:
                start = value - section.address
                if start >= 0 and start + size <= section.data.size:
                    word = text(names[name : name + 512].partition(b"\0")[0])
                    found[word] = hashlib.sha256(section.data.read(start, size)).digest()
                    break
        return found


def compare(left: Content, right: Content, place: tuple[str, ...]) -> list[Difference]:
    """Compares two ELF files; nothing is found where they differ outside of what their headers describe.

    Raises:
        FormatError: one of them is damaged.
        LimitError: one of them has too many sections.
    """
    a, b = _Elf(left), _Elf(right)
    if a.platform != b.platform:
        return [Difference(place, PLATFORM, a.platform, b.platform)]
    found: list[Difference] = []
    # Section -> what it is on either side, for the causes that are said once.
    code: dict[str, tuple[str, str]] = {}
    debug: dict[str, tuple[str, str]] = {}
    for name in {**a.sections, **b.sections}:
        if name == ".shstrtab" and a.sections.keys() != b.sections.keys():
            continue
        ours, theirs = a.sections.get(name), b.sections.get(name)
        if ours and theirs and ours.size == theirs.size and equal(ours.data, theirs.data):
            continue
        cause = _cause(name)
        if cause is not None and cause != DEBUG_INFORMATION:
            found.append(Difference((*place, name), cause, _shown(ours, cause), _shown(theirs, cause)))
        elif ours and theirs and (explained := _replaced(ours.data, theirs.data, cause)):
            found += [Difference((*place, name), why, x, y) for why, x, y in explained]
        else:
            (code if cause is None else debug)[name] = (_size(ours), _size(theirs))
    if debug:
        found.append(Difference(place, DEBUG_INFORMATION, _listed(debug, 0), _listed(debug, 1)))
    if code:
        names = _functions(a, b) if any(_is_code(side.sections.get(name)) for side in (a, b) for name in code) else ("", "")
        found.append(Difference(place, COMPILED_CODE, _listed(code, 0) + names[0], _listed(code, 1) + names[1]))
    found += _header_differences(a, b, place, follows=bool(code))
    if a.outside != b.outside:
        found.append(Difference(place, UNKNOWN, *describe(left, right)))
    return found


def _header_differences(a: _Elf, b: _Elf, place: tuple[str, ...], *, follows: bool) -> Iterator[Difference]:
    """What headers say of equal sections; addresses FOLLOW where code differs."""
    sizes = [[(name, section.size) for name, section in side.sections.items()] for side in (a, b)]
    # Else sections lie elsewhere for that reason.
    alike = sizes[0] == sizes[1]
    if a.headers == b.headers or (follows and not alike):
        return
    found = False
    if a.header != b.header:
        found = True
        yield Difference(place, COMPILED_CODE, *changed(a.header, b.header))
    for name, section in a.sections.items():
        other = b.sections.get(name)
        if other and section.size == other.size and section.fields != other.fields:
            found = True
            yield Difference((*place, name), COMPILED_CODE, *changed(section.fields, other.fields))
    if alike and not found:
        # Sections of the same sizes lie elsewhere, or something that no program reads.
        yield Difference(place, UNKNOWN, f"headers {a.headers.hex()[:16]}", f"headers {b.headers.hex()[:16]}")


def _cause(name: str) -> Cause | None:
    if name in _BUILD_IDS:
        return BUILD_ID
    if name == ".comment":
        return COMPILER_VERSION
    if name in (".gnu_debuglink", ".gnu_debugaltlink"):
        return DEBUG_LINK
    return DEBUG_INFORMATION if name.startswith(_DEBUG) else None


def _replaced(left: Content, right: Content, cause: Cause | None) -> list[tuple[Cause, str, str]]:
    if max(left.size, right.size) > LARGEST:
        return []
    return [(item.cause, item.left, item.right) for item in replaced(left.read(), right.read(), folders=cause == DEBUG_INFORMATION) or ()]


def _shown(section: _Section | None, cause: Cause) -> str:
    if section is None:
        return "none"
    data = section.data.read(0, _LARGEST_SHOWN)
    if cause == BUILD_ID:
        # A note: sizes of name and description, type, then both. What is no such note is shown as a whole.
        usual = data[12:16] == b"GNU\0" and struct.unpack("<3L", data[:12]) == (4, len(data) - 16, 3)
        return (data[16:] if usual else data).hex()
    if cause == DEBUG_LINK:
        name, _, rest = data.partition(b"\0")
        return f"{text(name)}, {rest[-4:].hex()}"
    return "; ".join(text(line) for line in data.split(b"\0") if line)


def _size(section: _Section | None) -> str:
    return f"{section.size} bytes" if section else "none"


def _listed(sections: dict[str, tuple[str, str]], side: int) -> str:
    return ", ".join(f"{name} {sizes[side]}" for name, sizes in sections.items())


def _is_code(section: _Section | None) -> bool:
    return section is not None and bool(section.flags & _EXECUTABLE)


def _functions(a: _Elf, b: _Elf) -> tuple[str, str]:
    """Names of functions that one file has alone, and of those that differ."""
    ours, theirs = a.functions(), b.functions()
    differ = sorted(name for name in ours if name in theirs and ours[name] != theirs[name])

    def shown(names: list[str], word: str) -> str:
        more = len(names) - _SHOWN_NAMES
        listed = ", ".join(shortened(name) for name in names[:_SHOWN_NAMES])
        return f"; {word} {listed}{f' and {more} more' if more > 0 else ''}" if names else ""

    common = shown(differ, "functions that differ:")
    only = [shown(sorted(name for name in side if name not in other), "only here:") for side, other in ((ours, theirs), (theirs, ours))]
    return common + only[0], common + only[1]


def _outside(content: Content, covered: list[tuple[int, int]]) -> bytes:
    """Hash of the bytes that nothing covers, without the zeros that fill up."""
    digest = hashlib.sha256()
    position = 0
    for start, end in [*sorted(covered), (content.size, content.size)]:
        if start > position:
            gap = content.part(position, min(start, content.size) - position, "a gap")
            for part in gap.chunks():
                digest.update(part.strip(b"\0"))
        position = max(position, end)
        if position >= content.size:
            break
    return digest.digest()
