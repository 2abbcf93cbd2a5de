"""Identifiers: ``parse`` a text into a ``Code`` (one canonical spelling of each, check digit verified) or a typed ``WrongCode``.

A file a family of schemes: ``isli``, ``handles`` (Handle, DOI, EIDR), ``books`` (ISBN, ISSN, ISMN), ``works`` (ISRC, ISAN, GRid),
``names`` (ISNI, ISIL, USCC), ``goods`` (GTIN), ``gs1`` (Digital Link), ``opaque`` (OID, DCI, DFI); ``schemes`` is their table,
``reader`` finds out whose a text is, ``likely`` what was meant by a wrong one.
"""

from gateway.resolver.codes.code import LONGEST, SHOWN, Code, WrongCode
from gateway.resolver.codes.gs1 import broader as _broader
from gateway.resolver.codes.isli import check_digit
from gateway.resolver.codes.reader import parse
from gateway.resolver.codes.scheme import Scheme
from gateway.resolver.codes.schemes import SCHEMES

__all__ = ["LONGEST", "SCHEMES", "SHOWN", "Code", "Scheme", "WrongCode", "broader", "check_digit", "parse"]


def broader(code: Code) -> list[Code]:
    """Return the codes of what ``code`` is one of, nearest first: of a serial number the lot, of a lot the item."""
    return list(_broader(code.text)) if code.scheme == "gs1" else []
