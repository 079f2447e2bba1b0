"""Who takes part: the customers of eight languages, and the agents of one team. All are invented."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Customer:
    """Somebody who writes; each has an address of their own, so that no two tickets are taken for one."""

    name: str
    address: str

    @property
    def first(self) -> str:
        return self.name.split()[0]


AGENTS: tuple[tuple[str, str, str], ...] = (
    ("mira.lindqvist@larkfield.example", "Mira Lindqvist", "lead"),
    ("tomas.okafor@larkfield.example", "Tomas Okafor", "agent"),
    ("ines.carvalho@larkfield.example", "Ines Carvalho", "agent"),
    ("jonas.brandt@larkfield.example", "Jonas Brandt", "agent"),
    ("zofia.wrona@larkfield.example", "Zofia Wrona", "agent"),
)
"""(address, name, role)."""

_NAMES: dict[str, tuple[str, str]] = {
    "en": ("Emma Oliver Grace Henry Ruby Noah", "Whitmore Ashdown Kerrigan Lockley Penrose Hale"),
    "de": ("Lena Jakob Marlene Timo Frieda Anton", "Vogelsang Steinbach Riedel Ohlsen Kranich Hofer"),
    "fr": ("Camille Louis Manon Jules Chloé Hugo", "Delaunay Marchais Vasseur Bertin Roussel Gaillard"),
    "es": ("Lucía Mateo Carmen Diego Alba Pablo", "Ibarra Montoya Salcedo Rivas Calderón Prieto"),
    "it": ("Giulia Marco Chiara Luca Elena Paolo", "Ferrante Bellini Moretti Santoro Galli Rinaldi"),
    "nl": ("Sanne Daan Fleur Bram Lotte Sem", "Verhoeven Dijkstra Molenaar Bosman Kuiper Visser"),
    "pt": ("Beatriz Tiago Marta Rui Inês Duarte", "Figueira Teixeira Nogueira Salgado Pacheco Moura"),
    "pl": ("Kasia Piotr Ola Marek Hania Jan", "Zielony Borowski Kaleta Sowa Mazurek Wilk"),
}


def customer(rng: Random, language: str, number: int) -> Customer:
    """The customer of the ticket with this number."""
    first, last = (rng.choice(names.split()) for names in _NAMES[language])
    return Customer(f"{first} {last}", f"customer{number}@{language}-post.example")
