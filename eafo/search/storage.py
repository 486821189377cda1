"""Where studies lie: one SQLite file a study, or any Optuna URL; and the lock that keeps a second driver out."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import optuna
import platformdirs
import sqlalchemy

from eafo.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Place", "find", "locked", "opened"]

_FOLDER = Path("studies")
_PATIENCE = 60.0


@dataclass(frozen=True)
class Place:
    """Where a study lies.

    Args:
        name: the study's name.
        url: what Optuna opens.
        file: the SQLite file, None for any other kind of storage.
    """

    name: str
    url: str
    file: Path | None

    @property
    def lock(self) -> Path:
        """The file whose lock a driver holds."""
        if self.file is not None:
            return self.file.with_name(f"{self.file.name}.lock")
        digest = hashlib.sha256(f"{self.url}\n{self.name}".encode()).hexdigest()[:32]
        return platformdirs.user_state_path("eafo") / "locks" / f"{digest}.lock"


def find(name: str, storage: str | Path | None = None) -> Place:
    """Where the study of this name lies.

    Args:
        name: the study's name.
        storage: a database URL as Optuna takes it, or the path of a SQLite file; ``./studies/NAME.db`` where not given.

    Raises:
        InputError: the URL is malformed, or names no file.

    >>> find("p", "sqlite:////tmp/p.db").file.name
    'p.db'
    """
    if storage is None or isinstance(storage, Path) or "://" not in storage:
        file = Path(storage or _FOLDER / f"{name}.db").absolute()
        url = sqlalchemy.URL.create("sqlite", database=str(file))
        return Place(name, url.render_as_string(hide_password=False), file)
    try:
        parsed = sqlalchemy.make_url(storage)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise InputError("a storage must be a database URL or the path of a SQLite file", storage) from error
    if not parsed.drivername.startswith("sqlite"):
        return Place(name, storage, None)
    if parsed.database in (None, "", ":memory:"):
        raise InputError("a SQLite storage must be a file, or nothing could be resumed", storage)
    return Place(name, storage, Path(str(parsed.database)).absolute())


@contextmanager
def locked(place: Place) -> Iterator[None]:
    """Hold the study against a second driver; the lock ends with the process, however it ends.

    For a storage that is no file, drivers of the same user on the same machine are kept out.

    Raises:
        InputError: another driver holds it, or the folder cannot be written.
    """
    try:
        place.lock.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(place.lock, timeout=0)
        lock.acquire()
    except filelock.Timeout as error:
        remedy = "wait until it ends, or choose another name"
        raise InputError(
            "a study must have one driver at a time, and one is at work", place.name, remedy
        ) from error
    except OSError as error:
        folder = str(place.lock.parent)
        raise InputError(f"the storage's folder must be writable ({error.strerror})", folder) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def opened(place: Place) -> Iterator[optuna.storages.RDBStorage]:
    """The storage, made where it is not there yet, closed at the end.

    Raises:
        InputError: the file belongs to something else, or the database cannot be opened.
        MissingDependencyError: the database's driver is not installed.
    """
    if place.file is not None:
        _check_file(place.file)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        arguments = {"connect_args": {"timeout": _PATIENCE}} if place.file is not None else {}
        storage = optuna.storages.RDBStorage(place.url, engine_kwargs=arguments)
    except ImportError as error:
        raise MissingDependencyError(f"the storage needs the database's driver ({error})") from error
    except (sqlalchemy.exc.SQLAlchemyError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        shown = (
            str(place.file)
            if place.file
            else sqlalchemy.make_url(place.url).render_as_string(hide_password=True)
        )
        raise InputError(f"the storage must be a database that Optuna can open ({reason})", shown) from error
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _check_file(file: Path) -> None:
    """Refuse a file that is no study's before anything is written into it."""
    if not file.exists() or file.stat().st_size == 0:
        return
    rule = "a study's file must be one that eafo or Optuna made"
    try:
        # Writable, though nothing is written: a driver that was killed may have left a journal to roll back.
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=_PATIENCE)) as connection:
            tables = {
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
    except sqlite3.DatabaseError as error:
        raise InputError(rule, str(file), "choose another name or storage") from error
    if tables and "studies" not in tables:
        raise InputError(rule, str(file), "choose another name or storage")
