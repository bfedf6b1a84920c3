"""Chats, knowledge bases and contacts."""

from __future__ import annotations

import io
from pathlib import Path
from tempfile import TemporaryDirectory

from retell import AsyncRetell, Retell, file_from_path
from retell.types import ChatResponse, KnowledgeBaseResponse


def program_a_chat() -> None:
    with Retell() as client:
        llm = client.llm.create(general_prompt="You chat.")
        agent = client.chat_agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, agent_name="Chatter")
        chat = client.chat.create(agent_id=agent.agent_id, metadata={"user": 1}, retell_llm_dynamic_variables={"name": "Ada"})
        assert isinstance(chat, ChatResponse)
        for text in ("Hello", "When are you open?"):
            answer = client.chat.create_chat_completion(chat_id=chat.chat_id, content=text)
            for message in answer.messages:
                if message.role == "agent":
                    print(message.to_dict()["content"])
        found = client.chat.retrieve(chat.chat_id)
        assert found.chat_status == "ongoing"
        assert "Hello" in (found.transcript or "") or found.message_with_tool_calls
        client.chat.end(chat.chat_id)
        assert client.chat.retrieve(chat.chat_id).chat_status == "ended"
        assert [each.chat_id for each in client.chat.list(limit=5).items or []] == [chat.chat_id]


def program_upload_a_knowledge_base() -> None:
    with Retell() as client, TemporaryDirectory() as folder:
        path = Path(folder) / "faq.txt"
        path.write_text("We open at nine.")
        base = client.knowledge_base.create(
            knowledge_base_name="FAQ",
            knowledge_base_files=[path, ("prices.txt", b"ten euros", "text/plain"), open(path, "rb"), io.BytesIO(b"bytes")],
            knowledge_base_texts=[{"title": "Hours", "text": "Nine to five."}],
            knowledge_base_urls=["https://example.com/faq"],
            enable_auto_refresh=True,
        )
        assert isinstance(base, KnowledgeBaseResponse)
        more = client.knowledge_base.add_sources(base.knowledge_base_id, knowledge_base_files=[file_from_path(str(path))])
        assert more.knowledge_base_id == base.knowledge_base_id
        found = client.knowledge_base.retrieve(base.knowledge_base_id)
        assert found.status in ("in_progress", "complete", "error", "refreshing_in_progress")
        assert base.knowledge_base_id in {each.knowledge_base_id for each in client.knowledge_base.list()}
        for source in found.knowledge_base_sources or []:
            print(source.type, source.source_id)
        client.knowledge_base.delete(base.knowledge_base_id)


async def program_upload_with_await() -> None:
    async with AsyncRetell() as client:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "faq.txt"
            path.write_text("We open at nine.")
            base = await client.knowledge_base.create(knowledge_base_name="FAQ", knowledge_base_files=[path, path.read_bytes()])
            assert base.knowledge_base_name == "FAQ"
            llm = await client.llm.create(general_prompt="You know.", knowledge_base_ids=[base.knowledge_base_id])
            assert llm.knowledge_base_ids == [base.knowledge_base_id]
