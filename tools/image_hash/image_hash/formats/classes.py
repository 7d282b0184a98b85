"""Java class files: what they declare and do, whatever the order of their constants.

Every attribute of the Java Virtual Machine Specification (Java SE 17, chapter 4) is read with its constants resolved, so that two files
whose constants have other numbers still compare equal where they mean the same.
"""

import dataclasses
from collections import Counter

from image_hash.causes import COMPILED_CODE, COMPILER_VERSION, CONSTANT_ORDER, DEBUG_INFORMATION
from image_hash.differences import Difference
from image_hash.formats import parts
from image_hash.formats.content import Content, FormatError, LimitError
from image_hash.formats.shown import shortened, text

MAGIC = b"\xca\xfe\xba\xbe"
# Java 1.0.2; fat Mach-O files have the same magic, and the number of their architectures here.
_OLDEST = 45
_LARGEST = 16 << 20
# Characters that all resolved constants of a class may have together: one long string can be referred to very often.
_MOST_TEXT = 64 << 20
_DEEPEST = 32

# What follows the tag of a constant (section 4.4): 1, 2, 4 and 8 bytes are numbers, c another constant, b a bootstrap method.
_CONSTANTS = {
    **dict.fromkeys((3, 4), "4"),
    **dict.fromkeys((5, 6), "8"),
    **dict.fromkeys((7, 8, 16, 19, 20), "c"),
    **dict.fromkeys((9, 10, 11, 12), "cc"),
    15: "1c",
    **dict.fromkeys((17, 18), "bc"),
}
# Attributes (section 4.7): as above; * repeats what is in parentheses as often as the two bytes before say, + as the one byte before.
# A is an annotation, E the value of an element, T a type annotation, F a frame of a stack map, V a type in one, C code, @ are attributes.
_ATTRIBUTES = {
    "AnnotationDefault": "E",
    "BootstrapMethods": "*(c*(c))",
    "Code": "C",
    "ConstantValue": "c",
    "Deprecated": "",
    "EnclosingMethod": "cc",
    "Exceptions": "*(c)",
    "InnerClasses": "*(ccc2)",
    "LineNumberTable": "*(22)",
    "LocalVariableTable": "*(22cc2)",
    "LocalVariableTypeTable": "*(22cc2)",
    "MethodParameters": "+(c2)",
    "Module": "c2c*(c2c)*(c2*(c))*(c2*(c))*(c)*(c*(c))",
    "ModuleMainClass": "c",
    "ModulePackages": "*(c)",
    "NestHost": "c",
    "NestMembers": "*(c)",
    "PermittedSubclasses": "*(c)",
    "Record": "*(cc@)",
    "RuntimeInvisibleAnnotations": "*(A)",
    "RuntimeInvisibleParameterAnnotations": "+(*(A))",
    "RuntimeInvisibleTypeAnnotations": "*(T)",
    "RuntimeVisibleAnnotations": "*(A)",
    "RuntimeVisibleParameterAnnotations": "+(*(A))",
    "RuntimeVisibleTypeAnnotations": "*(T)",
    "Signature": "c",
    "SourceFile": "c",
    "StackMapTable": "*(F)",
    "Synthetic": "",
}
_DEBUG = ("LineNumberTable", "LocalVariableTable", "LocalVariableTypeTable", "MethodParameters", "SourceDebugExtension", "SourceFile")
# Targets of type annotations (section 4.7.20.1).
_TARGETS = {
    **dict.fromkeys((0x00, 0x01, 0x16), "1"),
    **dict.fromkeys((0x10, 0x17, 0x42, 0x43, 0x44, 0x45, 0x46), "2"),
    **dict.fromkeys((0x11, 0x12), "11"),
    **dict.fromkeys((0x13, 0x14, 0x15), ""),
    **dict.fromkeys((0x40, 0x41), "*(222)"),
    **dict.fromkeys((0x47, 0x48, 0x49, 0x4A, 0x4B), "21"),
}
# Values of elements that are no constant: enum, annotation, array (section 4.7.16.1).
_VALUES = {ord("e"): "cc", ord("@"): "A", ord("["): "*(E)"}
# Types in a stack map that have more than a tag: of an object, and of one that is not yet initialised (section 4.7.4).
_TYPES = {7: "c", 8: "2"}
# Operands of instructions (section 6.5); i is the one byte of ldc. Those not named have none.
_OPERANDS = {
    0x10: "1",
    0x11: "2",
    0x12: "i",
    0x13: "c",
    0x14: "c",
    **dict.fromkeys((*range(0x15, 0x1A), *range(0x36, 0x3B), 0xA9, 0xBC), "1"),
    0x84: "11",
    **dict.fromkeys((*range(0x99, 0xA9), 0xC6, 0xC7), "2"),
    **dict.fromkeys((*range(0xB2, 0xB9), 0xBB, 0xBD, 0xC0, 0xC1), "c"),
    0xB9: "c11",
    0xBA: "c2",
    0xC5: "c1",
    0xC8: "4",
    0xC9: "4",
}
_TABLESWITCH, _LOOKUPSWITCH, _WIDE, _IINC, _LAST_OPCODE = 0xAA, 0xAB, 0xC4, 0x84, 0xC9


def is_class(content: Content) -> bool:
    """Whether CONTENT starts as a class file."""
    head = content.read(0, 8)
    return head[:4] == MAGIC and int.from_bytes(head[6:8], "big") >= _OLDEST


def compare(left: Content, right: Content, place: tuple[str, ...]) -> list[Difference]:
    """Compares two class files that differ.

    Raises:
        FormatError: one of them is damaged.
        LimitError: one of them is too large, or its constants are.
    """
    a, b = _Class(left), _Class(right)
    found: list[Difference] = []
    if a.version != b.version:
        found.append(Difference(place, COMPILER_VERSION, f"class file version {a.version}", f"class file version {b.version}"))
    debug = [name for name in {**a.debug, **b.debug} if a.debug.get(name) != b.debug.get(name)]
    if debug:
        found.append(Difference(place, DEBUG_INFORMATION, parts.listed(debug, a.debug), parts.listed(debug, b.debug)))
    differences, code = parts.compare(place, a.parts, b.parts)
    found += differences
    if not code:
        orders = [[name for name in side.parts if name in other.parts] for side, other in ((a, b), (b, a))]
        if orders[0] != orders[1]:
            found.append(Difference(place, CONSTANT_ORDER, *_first(orders[0], orders[1])))
    if found:
        return found
    if Counter(a.constants) == Counter(b.constants):
        shown = (
            _first(a.constants, b.constants) if a.constants != b.constants else ("attributes in one order", "attributes in another order")
        )
        return [Difference(place, CONSTANT_ORDER, *shown)]
    ours, theirs = Counter(a.constants) - Counter(b.constants), Counter(b.constants) - Counter(a.constants)
    return [Difference(place, COMPILED_CODE, _unused(ours), _unused(theirs))]


def _first(left: list[str], right: list[str]) -> tuple[str, str]:
    at = next(at for at, (a, b) in enumerate(zip(left, right, strict=True)) if a != b)
    return shortened(f"at {at}: {_plain(left[at])}"), shortened(f"at {at}: {_plain(right[at])}")


def _unused(constants: Counter[str]) -> str:
    return f"{sum(constants.values())} unused constants"


def _plain(value: str) -> str:
    return text(value.encode("utf-8", "surrogateescape"))


@dataclasses.dataclass
class _Constant:
    tag: int
    data: bytes


class _Class:
    """A class file, read.

    Attributes:
        version: of the format.
        parts: what it declares and does, by the names of members.
        debug: line numbers and the like, by what they are of.
        constants: resolved, in their order.
    """

    def __init__(self, content: Content) -> None:
        if content.size > _LARGEST:
            raise LimitError(f"a class of more than {_LARGEST} bytes")
        self._data = content.read()
        self._position = 4
        self._text = 0
        self._bootstrap: list[tuple[int, list[int]]] | None = None
        minor, major = self._number(2), self._number(2)
        self.version = f"{major}.{minor}"
        self._pool: dict[int, _Constant] = {}
        self._resolved: dict[int, str] = {}
        self._read_pool()
        self.parts: dict[str, str] = {}
        self.debug: dict[str, str] = {}
        access, this, parent = (self._number(2) for _ in range(3))
        interfaces = [self._number(2) for _ in range(self._number(2))]
        after_header = self._position
        self._skip_members()
        self._find_bootstrap()
        self._position = after_header
        names = [self._constant(index) for index in (this, parent, *interfaces)]
        self.parts["the class"] = f"{access:#06x} {' '.join(names)}"
        for word in ("field", "method"):
            for _ in range(self._number(2)):
                self._member(word)
        for name, value in self._attributes("the class"):
            if name != "BootstrapMethods":  # what uses them has them in it
                self._add(self.parts, f"{name} of the class", value)
        if self._position != len(self._data):
            raise FormatError(f"{len(self._data) - self._position} bytes behind the end of the class")
        self.constants = [self._constant(index) for index in self._pool]

    def _take(self, count: int) -> bytes:
        data = self._data[self._position : self._position + count]
        if len(data) != count:
            raise FormatError(f"truncated: {count} bytes expected at byte {self._position}, of {len(self._data)}")
        self._position += count
        return data

    def _number(self, count: int) -> int:
        return int.from_bytes(self._take(count), "big")

    def _read_pool(self) -> None:
        index = 1
        count = self._number(2)
        while index < count:
            tag = self._number(1)
            if tag == 1:
                self._pool[index] = _Constant(tag, self._take(self._number(2)))
            elif tag in _CONSTANTS:
                self._pool[index] = _Constant(tag, self._take(sum(2 if kind in "cb" else int(kind) for kind in _CONSTANTS[tag])))
            else:
                raise FormatError(f"a constant of the unknown kind {tag} before byte {self._position}")
            # Numbers of eight bytes count twice (section 4.4.5).
            index += 2 if tag in (5, 6) else 1

    def _skip_members(self) -> None:
        for _ in range(2):
            for _ in range(self._number(2)):
                self._take(6)
                self._skip_attributes()

    def _skip_attributes(self) -> None:
        for _ in range(self._number(2)):
            self._take(2)
            self._take(self._number(4))

    def _find_bootstrap(self) -> None:
        """Reads the bootstrap methods, which constants refer to, at the end of the file."""
        self._bootstrap = []
        for _ in range(self._number(2)):
            name = self._name(self._number(2))
            end = self._number(4) + self._position
            if name == "BootstrapMethods":
                for _ in range(self._number(2)):
                    method = self._number(2)
                    self._bootstrap.append((method, [self._number(2) for _ in range(self._number(2))]))
            self._position = end

    def _constant(self, index: int, depth: int = 0) -> str:
        """A constant as text, with those that it refers to; none for 0, where the format allows it."""
        if not index:
            return "-"
        known = self._resolved.get(index)
        if known is None:
            if index not in self._pool:
                raise FormatError(f"there is no constant {index}")
            if depth > _DEEPEST:
                raise FormatError(f"the constant {index} refers to itself")
            known = self._resolve(self._pool[index], depth)
            self._resolved[index] = known
        self._spend(known)
        return known

    def _name(self, index: int) -> str:
        """A constant that is a name; as it is, and for a person."""
        constant = self._pool.get(index)
        if constant is None or constant.tag != 1:
            raise FormatError(f"the constant {index} is no name")
        self._spend(name := text(constant.data))
        return name

    def _resolve(self, constant: _Constant, depth: int) -> str:
        if constant.tag == 1:
            # Modified UTF-8 (section 4.4.7) has bytes that UTF-8 has not.
            # Quoted, so that no string looks like two, or like what is around it.
            return '"' + constant.data.decode("utf-8", "surrogateescape").replace("\\", "\\\\").replace('"', '\\"') + '"'
        words = [str(constant.tag)]
        position = 0
        for kind in _CONSTANTS[constant.tag]:
            width = 2 if kind in "cb" else int(kind)
            value = int.from_bytes(constant.data[position : position + width], "big")
            position += width
            if kind == "c":
                words.append(self._constant(value, depth + 1))
            elif kind == "b" and self._bootstrap is not None:
                if value >= len(self._bootstrap):
                    raise FormatError(f"there is no bootstrap method {value}")
                method, arguments = self._bootstrap[value]
                words += [self._constant(number, depth + 1) for number in (method, *arguments)]
            else:
                words.append(f"{value:#x}")
        return f"({' '.join(words)})"

    def _spend(self, value: str) -> None:
        self._text += len(value)
        if self._text > _MOST_TEXT:
            raise LimitError(f"its constants, where they are used, have more than {_MOST_TEXT} characters")

    @staticmethod
    def _add(parts: dict[str, str], name: str, value: str) -> None:
        """Adds a part; one of the same name goes behind the first, as damaged or odd files have it."""
        parts[name] = f"{parts[name]}\n{value}" if name in parts else value

    def _member(self, word: str) -> None:
        access = self._number(2)
        name, kind = self._name(self._number(2)), self._name(self._number(2))
        whole = f"{word} {name}{kind if word == 'method' else ' ' + kind}"
        lines = [f"{access:#06x}"] + [f"{attribute} {value}" for attribute, value in self._attributes(whole)]
        self._add(self.parts, whole, "\n".join(lines))

    def _attributes(self, owner: str, depth: int = 0) -> list[tuple[str, str]]:
        """Names and values of the attributes that come next, sorted; what is for debuggers only goes to `debug`."""
        found = []
        for _ in range(self._number(2)):
            name = self._name(self._number(2))
            size = self._number(4)
            end = self._position + size
            value = self._decode(_ATTRIBUTES[name], owner, depth) if name in _ATTRIBUTES else self._take(size).hex()
            if self._position != end:
                raise FormatError(f"the attribute {shortened(name)} ends at byte {self._position}, {end} is stated")
            if name in _DEBUG:
                self._add(self.debug, f"{name} of {owner}", value)
            else:
                found.append((name, value))
        return sorted(found)

    def _decode(self, pattern: str, owner: str, depth: int) -> str:
        """What comes next, read as PATTERN says."""
        if depth > _DEEPEST:
            raise FormatError(f"attributes of {shortened(owner)} are nested too deep")
        words: list[str] = []
        at = 0
        while at < len(pattern):
            kind = pattern[at]
            at += 1
            if kind in "*+":
                end = _closing(pattern, at)
                words.append("[")
                words += [self._decode(pattern[at + 1 : end], owner, depth + 1) for _ in range(self._number(2 if kind == "*" else 1))]
                words.append("]")
                at = end + 1
            elif kind == "c":
                words.append(self._constant(self._number(2)))
            elif kind in "124":
                words.append(f"{self._number(int(kind)):#x}")
            else:
                words.append(self._special(kind, owner, depth + 1))
        value = " ".join(words)
        self._spend(value)
        return value

    def _special(self, kind: str, owner: str, depth: int) -> str:
        match kind:
            case "A":
                return self._decode("c*(cE)", owner, depth)
            case "E":
                tag = self._number(1)
                return f"{tag} {self._decode(_VALUES.get(tag, 'c'), owner, depth)}"
            case "T":
                target = self._number(1)
                if target not in _TARGETS:
                    raise FormatError(f"a type annotation of the unknown target {target:#x}")
                return f"{target:#x} {self._decode(_TARGETS[target] + '+(11)A', owner, depth)}"
            case "F":
                return self._frame(owner, depth)
            case "V":
                tag = self._number(1)
                return f"{tag} {self._decode(_TYPES.get(tag, ''), owner, depth)}"
            case "C":
                return self._code(owner, depth)
            case _:
                return "; ".join(f"{name} {value}" for name, value in self._attributes(owner, depth))

    def _frame(self, owner: str, depth: int) -> str:
        """Section 4.7.4."""
        kind = self._number(1)
        if kind == 255:
            pattern = "2*(V)*(V)"
        elif kind > 251:
            pattern = "2" + "V" * (kind - 251)
        elif kind > 247:
            pattern = "2"
        elif kind == 247:
            pattern = "2V"
        else:
            pattern = "V" if 64 <= kind < 128 else ""
            if kind > 127:
                raise FormatError(f"a stack map frame of the unknown kind {kind}")
        return f"{kind} {self._decode(pattern, owner, depth)}"

    def _code(self, owner: str, depth: int) -> str:
        """Section 4.7.3."""
        stack = self._decode("22", owner, depth)
        size = self._number(4)
        start = self._position
        lines = [stack]
        while self._position < start + size:
            lines.append(f"{self._position - start} {self._instruction(start, owner, depth)}")
        if self._position != start + size:
            raise FormatError(f"the code of {shortened(owner)} ends in the middle of an instruction")
        lines.append(self._decode("*(222c)@", owner, depth))
        return "\n".join(lines)

    def _instruction(self, start: int, owner: str, depth: int) -> str:
        opcode = self._number(1)
        if opcode > _LAST_OPCODE:
            raise FormatError(f"the code of {shortened(owner)} has the unknown instruction {opcode:#x}")
        if opcode == _WIDE:
            wide = self._number(1)
            return f"{opcode:#x} {wide:#x} {self._decode('22' if wide == _IINC else '2', owner, depth)}"
        if opcode in (_TABLESWITCH, _LOOKUPSWITCH):
            padding = self._take(-(self._position - start) % 4).hex()
            words = [self._number(4)]
            if opcode == _LOOKUPSWITCH:
                count = 2 * self._number(4)
            else:
                low, high = (int.from_bytes(self._take(4), "big", signed=True) for _ in range(2))
                words += [low, high]
                count = high - low + 1
            if not 0 <= 4 * count <= len(self._data):
                raise FormatError(f"a switch with {count} cases in the code of {shortened(owner)}")
            words += [self._number(4) for _ in range(count)]
            return f"{opcode:#x} {padding} {' '.join(map(str, words))}"
        operands = _OPERANDS.get(opcode, "")
        # The width of the index is not what is loaded.
        if operands == "i":
            return f"{opcode:#x} {self._constant(self._number(1))}"
        return f"{opcode:#x} {self._decode(operands, owner, depth)}"


def _closing(pattern: str, at: int) -> int:
    depth = 0
    for position in range(at, len(pattern)):
        depth += {"(": 1, ")": -1}.get(pattern[position], 0)
        if not depth:
            return position
    raise AssertionError(pattern)
