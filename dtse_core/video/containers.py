"""What a video file states about its end, so that a truncated one is recognized without decoding it."""

from pathlib import Path

MP4 = (b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide")  # boxes with which a file may begin
MATROSKA = b"\x1aE\xdf\xa3"
ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")  # what begins the properties of a WMV or ASF file


def promised_size(path: Path, size: int) -> int | None:
    """The size in bytes that MP4, Matroska and AVI files state, or None; a file that is cut short is smaller."""
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:4] == b"RIFF":
            return 8 + int.from_bytes(head[4:8], "little")
        if head[:4] == MATROSKA:  # a header, then the segment that holds everything
            count, length = _length(head[4:12])
            at = 4 + count + (length or 0) + 4
            count, length = _length(head[at : at + 8])
            return None if length is None else at + count + length
        if head[4:8] not in MP4:
            return None
        at = end = 0
        while at + 8 <= size:  # from box to box
            file.seek(at)
            box = file.read(16)
            length = int.from_bytes(box[:4], "big") or size - at
            if length == 1:
                length = int.from_bytes(box[8:], "big")
            if length < 8:
                break
            if box[4:8] in (b"moov", b"moof", b"mdat"):  # what follows the film may be anything
                end = at + length
            at += length
        return end


def _length(data: bytes) -> tuple[int, int | None]:
    """How many bytes a Matroska length takes, and its value; None if it is left open (RFC 8794, section 4)."""
    count = 9 - (data or b"\1")[0].bit_length()
    most = (1 << 7 * count) - 1
    length = int.from_bytes(data[:count], "big") & most
    return count, None if length == most else length


def is_torn(path: Path, size: int) -> bool:
    """True for an Ogg, GIF, FLV or ASF file without the end of a whole one; players show what is there."""
    with open(path, "rb") as file:
        head = file.read(4096)
        file.seek(max(0, size - 2**16))
        tail = file.read()
        if head[:4] == b"OggS":  # the last page is marked
            return not tail[tail.rfind(b"OggS") :][5:6] > b"\3"
        if head[:3] == b"GIF":
            return not tail.endswith(b";")
        if head[:3] == b"FLV":  # after each tag stands its length
            length = int.from_bytes(tail[-4:], "big")
            file.seek(max(0, size - 3 - length))
            return length != 11 + int.from_bytes(file.read(3), "big")
        at = head.find(ASF_FILE)
        return at > 0 and size < int.from_bytes(head[at + 40 : at + 48], "little")
