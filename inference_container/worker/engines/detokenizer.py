"""Incremental detokenizing for byte-level vocabularies, in time linear in the answer."""

import codecs
from collections.abc import Iterable, Sequence


class Detokenizer:
    """Decodes one answer; text that was returned is never revised.

    Parameters
    ----------
    vocabulary : Sequence[bytes]
        The bytes of each token by id; empty for special tokens. In a byte-level vocabulary the
        bytes of a text are the joined bytes of its tokens.
    """

    def __init__(self, vocabulary: Sequence[bytes]) -> None:
        self._vocabulary = vocabulary
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token_ids: Iterable[int]) -> str:
        """Return the characters that these tokens complete; incomplete ones are kept.

        Bytes that cannot begin a character become U+FFFD.
        """
        return self._decoder.decode(b"".join([self._vocabulary[i] for i in token_ids]))
