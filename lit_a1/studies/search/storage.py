"""Where a study is kept that processes without a shared disk work at: a database, or Optuna's gRPC proxy of one.

Every process notes for its trial, again and again, that it is alive. The trial of one that no longer does is failed by
another process, and waits to be tried again.
"""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import grpc  # which TensorBoard needs too
import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import GrpcStorageProxy, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError

from lit_a1.runs.settings import UsageError
from lit_a1.studies.search.study import TRIES

INTERVAL, GRACE = 20, 120  # seconds between two signs of life, and without one until a trial is given up
PATIENCE = 10  # seconds for a server to answer
SETTING_UP = (0.5, 1, 2, None)  # seconds between two tries to make the tables, which others may be making
BEAT = "heartbeat"
FAILURES = (SQLAlchemyError, StorageInternalError, grpc.RpcError)
EXAMPLES = "postgresql://USER@HOST/DATABASE, sqlite:///FILE or grpc://HOST:PORT"
DRIVERS = {"psycopg": 'pip install "psycopg[binary]"', "MySQLdb": "pip install mysqlclient"}
OPTIONS: dict[str, dict[str, Any]] = {  # of drivers, by their names in URLs
    # a PostgreSQL database without an encoding would answer in bytes
    **{name: {"connect_timeout": PATIENCE, "client_encoding": "utf8"} for name in ("psycopg", "psycopg2")},
    **{name: {"connect_timeout": PATIENCE} for name in ("pymysql", "mysqldb")},
    "pysqlite": {"timeout": 60},  # while another process writes
}


class GrpcStorage(GrpcStorageProxy, BaseHeartbeat):
    """Optuna's proxy, with the heartbeat that it lacks.

    A sign of life is an attribute of the trial that changes, and no clocks are compared but this process's with itself.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host=host, port=port)
        self._beats: dict[int, tuple[Any, float]] = {}  # by trial: the newest, and when it was first seen

    def record_heartbeat(self, trial_id: int) -> None:
        """Notes that the process of a trial is alive."""
        self.set_trial_user_attr(trial_id, BEAT, time.time())

    def get_heartbeat_interval(self) -> int:
        """Seconds between two signs of life."""
        return INTERVAL

    def get_heartbeat_stale_trial_callback(self) -> Callable[[optuna.Study, FrozenTrial], None]:
        """What is done with a trial that was given up."""
        return retry()

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        now, stale = time.monotonic(), []
        for trial in self.get_all_trials(study_id, deepcopy=False, states=(TrialState.RUNNING,)):
            beat, since = self._beats.get(trial._trial_id, (None, now))
            newest = trial.user_attrs.get(BEAT)
            self._beats[trial._trial_id] = (newest, since if beat == newest else now)
            if beat == newest and now - since > GRACE:
                stale.append(trial._trial_id)
        return stale


Storage = RDBStorage | GrpcStorage


@contextmanager
def experimental() -> Iterator[None]:
    """Hides that Optuna calls its heartbeat and its proxy experimental, and beats in `optimize` alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("ignore", "Heartbeat of storage is supposed to be used with Study.optimize")
        yield


def retry() -> RetryHeartbeatStaleTrialCallback:
    """Has a trial that was failed wait to be tried again, with the same settings, unless it has failed too often."""
    with experimental():
        return RetryHeartbeatStaleTrialCallback(max_retry=TRIES)


@contextmanager
def connected(url: str) -> Iterator[Storage]:
    """The storage that a URL names; whatever fails at it in the block is told in a sentence, without the password.

    UsageError where it is no such URL; ConnectionError where its driver is missing, it does not answer or refuses, or
    its tables are another Optuna's.
    """
    try:
        with experimental():
            storage = _proxy(url) if url.startswith("grpc:") else _database(parsed(url))
        try:
            yield storage
        finally:
            storage.close() if isinstance(storage, GrpcStorage) else storage.engine.dispose()
    except FAILURES as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        words = f"{cause.orig if isinstance(cause, DBAPIError) else cause}"
        if isinstance(cause, grpc.RpcError):
            words = cause.details()
        elif password := parsed(url).password:
            words = words.replace(password, "***")
        first, *_ = words.strip().splitlines() or [type(cause).__name__]
        raise ConnectionError(f"the storage {named(url)} fails: {first}") from error


def parsed(url: str) -> URL:
    """The parts of a database's URL, PostgreSQL's with this project's driver; UsageError where it is none."""
    try:
        found = make_url(url)
        found.get_dialect()
    except (ArgumentError, ValueError) as error:  # its words repeat the URL, and the password in it
        raise UsageError(f"storage must be a URL such as {EXAMPLES}") from error
    return found.set(drivername="postgresql+psycopg") if found.drivername == "postgresql" else found


def named(url: str) -> str:
    """The URL without user, password and options."""
    if url.startswith("grpc:"):
        return f"grpc://{urlsplit(url).netloc.rpartition('@')[2]}"
    found = parsed(url)
    return URL.create(
        found.get_backend_name(), host=found.host, port=found.port, database=found.database
    ).render_as_string()


def _proxy(url: str) -> GrpcStorage:
    try:
        host, port = urlsplit(url).hostname, urlsplit(url).port
    except ValueError:
        host = port = None
    if not host or not port:
        raise UsageError(f"storage must be a URL such as {EXAMPLES}")
    storage = GrpcStorage(host, port)
    try:
        storage.wait_server_ready(PATIENCE)
    except ConnectionError as error:
        raise ConnectionError(f"the storage {named(url)} does not answer") from error
    return storage


def _database(url: URL) -> RDBStorage:
    for wait in SETTING_UP:
        try:
            return RDBStorage(
                url.render_as_string(hide_password=False),
                {"pool_pre_ping": True, "connect_args": OPTIONS.get(url.get_driver_name(), {})},
                heartbeat_interval=INTERVAL,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=retry(),
            )
        except ImportError as error:
            missing = getattr(error.__cause__, "name", None) or url.get_driver_name()
            how = DRIVERS.get(missing, f"pip install {missing}")
            raise ConnectionError(f"{missing}, which {url.drivername} needs, is not installed: {how}") from error
        except RuntimeError as error:
            raise ConnectionError(f"the storage {named(str(url))} is another Optuna's: {error}") from error
        except DBAPIError as error:
            if wait is None or not (isinstance(error, IntegrityError) or "already exists" in str(error)):
                raise
            time.sleep(wait)
    raise AssertionError
