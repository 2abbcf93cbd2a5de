"""PDF: what is shown passes, what acts does not."""

from __future__ import annotations

import io
import re

import pikepdf

from appliance.runtime.errors import Refused
from gateway.filters.inspection import refusal
from gateway.filters.inspection.kinds.kind import Whole

MOST_OBJECTS = 300_000
MOST_PAGES = 20_000
# Keys that make a document act, and actions that do (ISO 32000-2, 12.6).
KEYS = {
    "/JavaScript": "JavaScript", "/JS": "JavaScript", "/AA": "actions that events set off", "/EmbeddedFiles": "files inside",
    "/EF": "files inside", "/XFA": "a form that runs", "/RichMedia": "rich media", "/Launch": "a program to start",
}  # fmt: skip
ACTIONS = {
    "/JavaScript", "/Launch", "/ImportData", "/SubmitForm", "/ResetForm", "/GoToR", "/GoToE", "/Rendition", "/Movie", "/Sound",
    "/RichMediaExecute", "/GoTo3DView", "/Trans",
}  # fmt: skip
_END = re.compile(rb"%%EOF[\r\n\s]*\Z")


class Pdf(Whole):
    """One document."""

    largest = 128 << 20

    def judge(self, data: bytes) -> None:
        """Refuse what is no PDF, is more than one, cannot be looked into, or acts."""
        if not data.startswith(b"%PDF-"):
            raise (
                refusal.polyglot("a PDF begins behind the first byte")
                if b"%PDF-" in data[:1024]
                else refusal.mismatch("this is no PDF")
            )
        if not _END.search(data[-1024:]):
            raise refusal.polyglot("something follows the end of the PDF")
        try:
            with pikepdf.open(io.BytesIO(data), attempt_recovery=False, suppress_warnings=True) as document:
                self._look(document)
        except Refused:
            raise
        except pikepdf.PasswordError as error:
            raise refusal.encrypted("the PDF asks for a password") from error
        except Exception as error:  # (its parser raises whatever a damaged file makes it stumble over)
            raise refusal.malformed(f"the PDF is damaged: {str(error)[:200]}") from error

    def _look(self, document: pikepdf.Pdf) -> None:
        if document.is_encrypted:
            raise refusal.encrypted("the PDF is encrypted")
        if len(document.pages) > MOST_PAGES or len(document.objects) > MOST_OBJECTS:
            raise refusal.bomb(f"more than {MOST_OBJECTS} objects or {MOST_PAGES} pages")
        opening = document.Root.get("/OpenAction")
        if isinstance(opening, pikepdf.Dictionary) and opening.get("/S") != "/GoTo":
            raise refusal.active("the PDF acts when it is opened")
        for each in document.objects:
            self._object(each, 0)

    def _object(self, each: object, depth: int) -> None:
        if depth > 64:
            raise refusal.bomb("more than 64 objects in one another")
        if isinstance(each, pikepdf.Stream):
            each = each.stream_dict
        if isinstance(each, pikepdf.Dictionary):
            for key, value in each.items():
                if key in KEYS:
                    raise refusal.active(f"the PDF brings {KEYS[key]}")
                if key == "/S" and str(value) in ACTIONS and not each.get("/P"):
                    raise refusal.active(f"the PDF has an action {value}")
                if not getattr(value, "is_indirect", False):  # the others come by themselves
                    self._object(value, depth + 1)
        elif isinstance(each, pikepdf.Array):
            for value in each:
                if not getattr(value, "is_indirect", False):
                    self._object(value, depth + 1)
