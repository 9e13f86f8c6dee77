"""Turns token ids into text piece by piece, in time linear in the answer."""

import codecs
from collections.abc import Iterable, Sequence


class Detokenizer:
    """Decodes one answer; text once returned is never revised.

    Parameters
    ----------
    vocabulary
        The bytes of each token by id; empty for special tokens. Byte-level vocabularies only:
        there a text's bytes are its tokens' bytes joined.
    """

    def __init__(self, vocabulary: Sequence[bytes]) -> None:
        self._vocabulary = vocabulary
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token_ids: Iterable[int]) -> str:
        """Return the characters these tokens complete; a character begun stays until it is whole.

        Bytes that can begin no character become U+FFFD.
        """
        return self._decoder.decode(b"".join([self._vocabulary[i] for i in token_ids]))
