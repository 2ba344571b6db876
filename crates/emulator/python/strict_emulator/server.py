"""The HTTP server around the application."""

from __future__ import annotations

import moto.backends
import moto.iam.models
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

from .app import Application
from .registry import REGISTRY
from .state import STATE


class RequestHandler(MotoRequestHandler):
    """Answers in one packet; the small writes of http.server cost a round trip."""

    disable_nagle_algorithm = True
    wbufsize = -1


# moto lists its own folder for every request, which takes as long as all the rest of it.
MOTO_MODULES = tuple(moto.backends.list_of_moto_modules())


def serve(port: int, *, plain: bool, account: str) -> None:
    """Serves on loopback for ever."""
    STATE.account = account
    moto.backends.list_of_moto_modules = lambda: MOTO_MODULES
    # The account of all credentials but those of an assumed role, which are of the role's account.
    moto.iam.models.DEFAULT_ACCOUNT_ID = account
    STATE.strict = not plain
    if not plain:
        # Importing the package registers its rules.
        from . import rules  # noqa: F401

        REGISTRY.install()
    application = Application(after_mutation=REGISTRY.observe)
    server = make_server(
        "127.0.0.1", port, application, threaded=True, request_handler=RequestHandler
    )
    print(f"ready http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
