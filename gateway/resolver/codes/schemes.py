"""The table of schemes, in the order in which people are told of them."""

from __future__ import annotations

from gateway.resolver.codes.books import ISBN, ISMN, ISSN
from gateway.resolver.codes.goods import GTIN
from gateway.resolver.codes.gs1 import GS1
from gateway.resolver.codes.handles import DOI, EIDR, HANDLE
from gateway.resolver.codes.isli import ISLI
from gateway.resolver.codes.names import ISIL, ISNI, USCC
from gateway.resolver.codes.opaque import DCI, DFI, OID
from gateway.resolver.codes.scheme import Scheme
from gateway.resolver.codes.works import GRID, ISAN, ISRC

SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        ISLI,
        HANDLE,
        DOI,
        ISBN,
        ISSN,
        ISMN,
        ISRC,
        ISAN,
        ISNI,
        EIDR,
        GRID,
        GTIN,
        GS1,
        USCC,
        OID,
        ISIL,
        DCI,
        DFI,
    )
}
# What people write before a code, where it is not the scheme's own name.
ALIASES = {
    "handle": "hdl",
    "ean": "gtin",
    "upc": "gtin",
    "jan": "gtin",
    "统一社会信用代码": "uscc",
}
