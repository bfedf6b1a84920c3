"""HTTP clients that may be given and that may not: a type checker must find the lines that say so and no other."""

from __future__ import annotations

from unittest.mock import AsyncMock, MagicMock

import httpx
import httpx2

from retell_async import AsyncRetell, DefaultAioHttpClient, DefaultAsyncHttpxClient, DefaultHttpxClient, Retell
from retell_async.llm import ChatCompletions

AsyncRetell(http_client=None)
AsyncRetell(http_client=httpx.AsyncClient())
AsyncRetell(http_client=httpx2.AsyncClient())
AsyncRetell(http_client=DefaultAsyncHttpxClient())
AsyncRetell(http_client=DefaultAioHttpClient())
AsyncRetell(http_client=AsyncMock(spec=httpx.AsyncClient)).with_options(http_client=httpx2.AsyncClient())
AsyncRetell(http_client=httpx.Client())  # E: it does not await
AsyncRetell(http_client=5)  # E: no client
AsyncRetell(http_client="x")  # E: no client
AsyncRetell(http_client=httpx.AsyncClient)  # E: a class
AsyncRetell(http_client=httpx.AsyncHTTPTransport())  # E: no client
AsyncRetell().with_options(http_client=httpx.Client())  # E: it does not await

Retell(http_client=None)
Retell(http_client=httpx.Client())
Retell(http_client=httpx2.Client())
Retell(http_client=DefaultHttpxClient())
Retell(http_client=httpx.AsyncClient())
Retell(http_client=httpx2.AsyncClient())
Retell(http_client=MagicMock(spec=httpx.Client)).with_options(http_client=httpx2.Client())
Retell(http_client=5)  # E: no client
Retell(http_client="x")  # E: no client
Retell(http_client=httpx.Client)  # E: a class
Retell().with_options(http_client=httpx.HTTPTransport())  # E: no client

ChatCompletions(base_url="http://llm.test", model="m", http_client=httpx2.AsyncClient())
ChatCompletions(base_url="http://llm.test", model="m", http_client=httpx.Client())  # E: it does not await
