"""The tree of everything that can go wrong, each error named by the caller's next move.

::

    NyxlabError                 exit code 1
    ├── InputRefused            2   what was given cannot be used: change it and call again; nothing was written
    ├── StoreBroken             1   the ledger cannot be read or written: the sentence says which file and why
    ├── NoCandidate             1   no provider is usable for this call: the reasons are listed, one a provider
    ├── RunHeld                 1   another process carries the run on: wait for it, or stop it
    ├── ToolFailed              1   a tool step's function could not do its work: the sentence says what it met
    ├── AnswerWanted            1   a question waits for an answer by hand: a run pauses for it
    ├── BudgetExhausted         1   the next call does not fit into the budget: a run pauses for a larger one
    └── ProviderError           1   one provider did not answer; carries provider, status, request id, attempts
        ├── ProviderBusy            ask again later (429, 503, 529, overload)
        ├── ProviderRefused         never for this request: the provider declines to answer it
        ├── ProviderBroken          ask elsewhere: unreachable, too slow, or not speaking its own protocol
        │   └── ProviderPassed      another answer was taken instead of its: it is not asked again
        ├── ProviderMisused         fix the request or the settings (400, 401, 403, 404)
        └── GateFailed              nobody behind a gate gave a usable answer; carries what each of them did

A pause is an outcome of a run, not an error; its exit code 3 is the CLI's business. No message holds a key or a prompt.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal


class NyxlabError(Exception):
    """Anything nyxlab says about itself: one sentence that tells what to do next."""

    exit_code = 1


class InputRefused(NyxlabError):
    """What the user gave (file, name, option, missing key) is refused before anything was written."""

    exit_code = 2


class StoreBroken(NyxlabError):
    """The ledger cannot be read or written."""


class RunHeld(NyxlabError):
    """Another process that is alive carries the run on."""


class ToolFailed(NyxlabError):
    """A tool step's function could not do its work."""


class NoCandidate(NyxlabError):
    """No listed provider is usable.

    ``reasons`` maps each listed provider to why it was left out. ``only_budget`` is true where nothing but
    the budget stands in the way, so that the run can pause for a larger one instead of failing.
    """

    def __init__(self, message: str, *, reasons: dict[str, str], only_budget: bool = False) -> None:
        super().__init__(message)
        self.reasons = reasons
        self.only_budget = only_budget


class AnswerWanted(NyxlabError):
    """A question has been written down for whoever answers by hand, and there is no answer that could be used yet.

    ``where`` is the folder of the questions, or the answer that cannot be used.
    """

    def __init__(self, message: str, *, where: str) -> None:
        super().__init__(message)
        self.where = where

    @classmethod
    def of(cls, errors: Iterable[AnswerWanted]) -> AnswerWanted:
        """Return one for many: of each place the last word, which counts all its questions."""
        said = {error.where: str(error) for error in errors}
        return cls("; ".join(said.values()), where=", ".join(said))


class BudgetExhausted(NyxlabError):
    """A call may cost more than what is left of the budget (USD); ``needed`` is None where its price is unknown."""

    def __init__(self, message: str, *, needed: Decimal | None, left: Decimal) -> None:
        super().__init__(message)
        self.needed = needed
        self.left = left


class ProviderError(NyxlabError):
    """One provider did not give a usable reply.

    ``status`` is the HTTP status (None where there was none), ``request_id`` the vendor's id of the request,
    ``attempts`` how many requests were sent, ``wait_seconds`` how long was spent waiting between them, ``received``
    the reply, whole or in part, that came all the same and may have been paid for.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        status: int | None = None,
        request_id: str | None = None,
        attempts: int = 1,
        wait_seconds: float = 0.0,
        received: object = None,
    ) -> None:
        super().__init__(f"{provider}: {message}")
        self.provider = provider
        self.status = status
        self.request_id = request_id
        self.attempts = attempts
        self.wait_seconds = wait_seconds
        self.received = received


class ProviderBusy(ProviderError):
    """The provider is overloaded or rate-limited: the same request can succeed later."""


class ProviderRefused(ProviderError):
    """The provider declined to answer this request; asking it again will not help."""


class ProviderBroken(ProviderError):
    """The provider could not be reached, was too slow, or sent something that is not its own format."""


class ProviderPassed(ProviderBroken):
    """Another answer was taken instead of this provider's, which came too late or was cancelled, in an earlier go."""


class ProviderMisused(ProviderError):
    """The request or the settings are wrong (unknown model, bad key, too long): fix them."""


class GateFailed(ProviderError):
    """Providers were called and none gave a usable answer.

    ``payload`` is what the checkpoint shows of the failed step: the gate's reason and each alternative with its error.
    """

    def __init__(self, message: str, *, provider: str, payload: dict[str, object]) -> None:
        super().__init__(message, provider=provider)
        self.payload = payload


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest option, or nothing where none is near."""
    from rapidfuzz import process  # only who mistypes waits for it

    best = process.extractOne(word, list(options), score_cutoff=60)
    return f"; did you mean '{best[0]}'?" if best else ""


def nearest_or_all(word: str, options: Iterable[str]) -> str:
    """Return the hint of ``did_you_mean``, or all options where none is near, or nothing where there are none."""
    known = list(options)
    return did_you_mean(word, known) or (f"; there are {', '.join(known)}" if known else "")
