"""What a request may hold: each field with its type and its bounds, and nothing else."""

from typing import Annotated, Any, Literal

import pydantic

from crossloss.core import UserError
from crossloss.explore.queries import ORDERS, Filter
from crossloss.explore.session import MOST_STARTS, Session

LONGEST_TEXT, MOST_SAMPLES, LARGEST_WEIGHT = 20_000, 2_000_000, 1e6


class Query(pydantic.BaseModel):
    """What a request may hold: nothing but its fields."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


Text = Annotated[str, pydantic.Field(max_length=LONGEST_TEXT)]
Name = Annotated[str, pydantic.Field(max_length=500)]
Number = Annotated[float, pydantic.Field(allow_inf_nan=False, strict=False)]
SampleNumber = Annotated[int, pydantic.Field(ge=0, lt=2**31)]
SampleNumbers = Annotated[list[SampleNumber], pydantic.Field(max_length=MOST_SAMPLES)]
WeightOf = Annotated[float, pydantic.Field(ge=0, le=LARGEST_WEIGHT, allow_inf_nan=False, strict=False)]
Words = Annotated[list[Annotated[str, pydantic.Field(max_length=100)]], pydantic.Field(max_length=500)]


class FilterQuery(Query):
    """As ``queries.Filter``."""

    text: Annotated[str, pydantic.Field(max_length=500)] = ""
    document: Annotated[str, pydantic.Field(max_length=5000)] | None = None
    word: Annotated[str, pydantic.Field(max_length=100)] | None = None
    shortest: SampleNumber | None = None
    longest: SampleNumber | None = None
    low: Number | None = None
    high: Number | None = None
    other: Name | None = None
    other_low: Number | None = None
    other_high: Number | None = None
    samples: SampleNumbers | None = None
    kind: Literal["all", "trained", "candidates"] = "all"

    def made(self) -> Filter:
        """The filter."""
        given = self.model_dump()
        return Filter(**(given | {"samples": None if self.samples is None else tuple(self.samples)}))


class Selection(Query):
    """Samples of a filter in an order, a page of them."""

    objective: Name
    filter: FilterQuery = FilterQuery()
    order: Literal[ORDERS] = "strongest"  # type: ignore[valid-type]
    offset: Annotated[int, pydantic.Field(ge=0, le=MOST_SAMPLES)] = 0
    limit: Annotated[int, pydantic.Field(ge=0, le=100)] = 20
    grouped: bool = True
    against: Name | None = None


class Change(Query):
    """Samples that get a weight."""

    weight: WeightOf
    samples: SampleNumbers


Changes = Annotated[list[Change], pydantic.Field(max_length=1000)]


class Basket(Query):
    """A basket, and what is wanted of it."""

    changes: Changes = []
    starts: Annotated[int, pydantic.Field(ge=1, le=MOST_STARTS)] = 1
    name: Annotated[str, pydantic.Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")] = "mine"
    word: Annotated[str, pydantic.Field(max_length=100)] = ""
    objective: Name = ""
    pairs: Literal["gender", "names"] | Annotated[list[Words], pydantic.Field(max_length=200)] = "gender"

    def made(self) -> list[tuple[float, list[int]]]:
        """The basket as the session takes it."""
        return [(change.weight, change.samples) for change in self.changes]


class Sentence(Query):
    """A typed text."""

    text: Text
    objective: Name
    instead: SampleNumber | None = None


class SampleQuery(Query):
    """A sample by its number."""

    sample: SampleNumber


class Strongest(Query):
    """Leaving out the n strongest."""

    objective: Name
    up: bool = False
    n: Annotated[int, pydantic.Field(ge=0, le=MOST_SAMPLES)]
    starts: Annotated[int, pydantic.Field(ge=1, le=MOST_STARTS)] = 1


class NewObjective(Query):
    """An objective as it was typed: in one word of the command line, or as a test's word sets."""

    written: Annotated[str, pydantic.Field(max_length=2000)] | None = None
    name: Annotated[str, pydantic.Field(pattern=r"^[\w][\w .:/,-]{0,79}$")] | None = None
    sets: dict[Literal["X", "Y", "A", "B"], Words] | None = None

    def made(self, session: Session) -> Any:
        """The objective."""
        if self.sets is not None and not self.name:
            raise UserError("Give the test a name.")
        given = None if self.sets is None else {"name": self.name} | {str(side): ws for side, ws in self.sets.items()}
        return session.objective(self.written, given)
