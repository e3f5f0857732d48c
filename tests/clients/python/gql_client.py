"""gql, over HTTP and over a websocket. Says what it saw as JSON."""
import asyncio, json, sys

from gql import Client, GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportError, TransportQueryError
from gql.transport.websockets import WebsocketsTransport

url, access, task, refused = sys.argv[1:]
CREATE = "mutation ($name: String!) { createSample(name: $name) { id } }"


async def answer(session, document, variables=None, extensions=None):
    try:
        return await session.execute(GraphQLRequest(document, variable_values=variables, extensions=extensions))
    except TransportQueryError as error:
        return [e["extensions"] for e in error.errors]
    except TransportError as error:
        return type(error).__name__


async def over_http(token):
    headers = {"Authorization": f"Bearer {access}", "Rekuest-Task": token}
    async with Client(transport=AIOHTTPTransport(url=url, headers=headers)) as session:
        return await answer(session, CREATE, {"name": "from gql"})


async def over_socket():
    transport = WebsocketsTransport(
        url=url.replace("http:", "ws:"), init_payload={"token": access}, subprotocols=["graphql-transport-ws"]
    )
    async with Client(transport=transport) as session:
        changes = session.subscribe(GraphQLRequest('subscription { provenance(table: "samples") { kind task { taskId } } }'))
        first = asyncio.ensure_future(anext(changes))
        await answer(session, "{ samples { id } }")
        wrong = await answer(session, CREATE, {"name": "x"}, {"rekuestTask": refused})
        right = await answer(session, CREATE, {"name": "x"}, {"rekuestTask": task})
        watched = await first
        await changes.aclose()
        return {"refused": wrong, "created": right, "watched": watched}


async def main():
    print(json.dumps({"http": await over_http(task), "refused": await over_http(refused), "socket": await over_socket()}))


asyncio.run(main())
