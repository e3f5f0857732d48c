"""The original's client: rath's login that refreshes, and rekuest_next's link that brings the token of a task. Says what it saw as JSON."""
import asyncio, json, sys
from types import SimpleNamespace

from rath import Rath
from rath.links.aiohttp import AIOHttpLink
from rath.links.auth import ComposedAuthLink
from rath.links.compose import compose
from rekuest_next.actors.vars import current_task_helper
from rekuest_next.links.context import ContextLink

url, expired, access, task, refused, foreign = sys.argv[1:]
CREATE = 'mutation { createSample(name: "from rath") { id } }'


async def attempt(tokens, task_token, document=CREATE):
    """Executes a document with the first login, then the next at each refresh; the last one stays."""
    current, refreshed = list(tokens), 0

    async def load():
        return current[0]

    async def refresh():
        nonlocal refreshed
        refreshed += 1
        if len(current) > 1:
            current.pop(0)
        return current[0]

    helper = current_task_helper.set(SimpleNamespace(token=task_token))
    link = compose(ComposedAuthLink(token_loader=load, token_refresher=refresh), ContextLink(), AIOHttpLink(endpoint_url=url))
    try:
        async with Rath(link=link) as rath:
            seen = {"data": (await rath.aquery(document)).data}
    except Exception as error:
        seen = {"error": type(error).__name__, "extensions": [e.get("extensions") for e in getattr(error, "errors", [])]}
    finally:
        current_task_helper.reset(helper)
    return seen | {"refreshed": refreshed}


async def main():
    seen = {
        "expired": await attempt([expired, access], task),
        "taskRefused": await attempt([access], refused),
        "notAllowed": await attempt([access], foreign),
        "loginRefused": await attempt([expired], task),
    }
    print(json.dumps(seen))


asyncio.run(main())
