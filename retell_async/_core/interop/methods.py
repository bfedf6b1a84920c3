"""The methods that programs know from pydantic's models, which the official SDK answers with.

They stand here for type checkers and for `dir`; what they do is imported by the first program that calls one.
"""

from __future__ import annotations

import builtins  # inside the classes `dict` is a method
from collections.abc import Callable, Generator, Mapping
from types import MethodType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from typing import Self, Unpack

    from ..model import Model
    from .dump import DumpOptions

__all__ = ["PydanticMethods", "method"]


class _Method:
    """A method that a field of the same name in JSON cannot hide."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __get__(self, instance: object | None, owner: type) -> Any:
        return self.function if instance is None else MethodType(self.function, instance)

    def __set__(self, instance: object, value: object) -> None:
        raise AttributeError(f"{self.function.__name__} is a method")


if TYPE_CHECKING:
    from typing import TypeVar

    FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

    def method(function: FunctionT) -> FunctionT:
        return function

else:
    method = _Method


class PydanticMethods:
    """What models and pages have of pydantic's, beside what they are here: see `from_dict` and `to_dict` for that.

    The keywords are pydantic's. A name is the official SDK's unless `by_alias` is set: ``api_model_config`` for ``model_config``, and
    ``additional_properties`` for ``additionalProperties``; `to_dict` and `to_json` give the API's names.
    """

    if TYPE_CHECKING:

        @property
        def __content__(self) -> Model: ...
        @classmethod
        def __declaring__(cls) -> type[Model]: ...
        @classmethod
        def from_dict(cls, data: Mapping[str, Any]) -> Self: ...
        def __await__(self) -> Generator[Any, Any, Self]: ...  # of what `RawResponse.parse` gives, whose type has no name

    else:

        @property
        def __pydantic_serializer__(self) -> Any:
            """What pydantic asks a value of no known type for."""
            try:
                from .schema import serializer
            except ImportError as error:  # whoever looks through all attributes must not need pydantic
                raise AttributeError(str(error)) from error
            return serializer()

    @method
    def to_dict(
        self,
        *,
        mode: Literal["json", "python"] = "python",
        use_api_names: bool = True,
        exclude_unset: bool = True,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        warnings: bool = True,
    ) -> builtins.dict[str, Any]:
        """The JSON object, as plain dicts and lists: exactly what was sent, plus what was changed since.

        :param mode: ``"json"`` makes text of a `datetime` and the like, which only a program puts into a model.
        :param use_api_names: false for the names that the official SDK gives its attributes.
        :param exclude_unset: false for a ``None`` for each field that was left out.
        :param exclude_defaults: leave out optional fields that are ``None``.
        :param exclude_none: leave out fields that are ``None``.
        :param warnings: taken and not needed.
        """
        from ..model import plain

        if mode == "python" and use_api_names and exclude_unset and not exclude_defaults and not exclude_none:
            found: builtins.dict[str, Any] = plain(self.__content__)
            return found
        return self.model_dump(
            mode=mode,
            by_alias=use_api_names,
            exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
            warnings=warnings,
        )

    @method
    def to_json(
        self,
        *,
        indent: int | None = 2,
        use_api_names: bool = True,
        exclude_unset: bool = True,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        warnings: bool = True,
    ) -> str:
        """The same as a text of JSON."""
        return self.model_dump_json(
            indent=indent,
            by_alias=use_api_names,
            exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
            warnings=warnings,
        )

    @method
    def model_dump(self, **options: Unpack[DumpOptions]) -> builtins.dict[str, Any]:
        """As pydantic's: plain dicts and lists, with a ``None`` for each field that was left out unless `exclude_unset` is set."""
        from .dump import dump

        found: builtins.dict[str, Any] = dump(self.__content__, **options)
        return found

    @method
    def model_dump_json(self, *, indent: int | None = None, ensure_ascii: bool = False, **options: Unpack[DumpOptions]) -> str:
        """The same as a text of JSON."""
        from .dump import dump_json

        return dump_json(self.__content__, indent=indent, ensure_ascii=ensure_ascii, **options)

    @method
    def dict(self, **options: Unpack[DumpOptions]) -> builtins.dict[str, Any]:
        """`model_dump` under its older name."""
        return self.model_dump(**options)

    @method
    def json(self, *, indent: int | None = None, **options: Unpack[DumpOptions]) -> str:
        """`model_dump_json` under its older name."""
        return self.model_dump_json(indent=indent, **options)

    @classmethod
    def model_validate(
        cls,
        obj: Any,
        *,
        strict: bool | None = None,
        extra: str | None = None,
        from_attributes: bool | None = None,
        context: Any = None,
        by_alias: bool | None = None,
        by_name: bool | None = None,
    ) -> Self:
        """A model of a JSON object, or of attributes of the same names: of the keywords only `from_attributes` is needed.

        :raises ValueError: it is no object, a field that must be there is not, or it is of another kind of the same union, such as a phone
            call for a `WebCallResponse`; other values are taken as they are.
        """
        from .validate import validate

        return validate(cls, obj, from_attributes=bool(from_attributes))

    @classmethod
    def model_validate_json(
        cls,
        json_data: str | bytes | bytearray,
        *,
        strict: bool | None = None,
        extra: str | None = None,
        context: Any = None,
        by_alias: bool | None = None,
        by_name: bool | None = None,
    ) -> Self:
        """The same of a text of JSON.

        :raises ValueError: it is no JSON, or as there.
        """
        from ..json import loads
        from .validate import validate

        return validate(cls, loads(json_data.encode() if isinstance(json_data, str) else bytes(json_data)))

    @classmethod
    def parse_obj(cls, obj: Any) -> Self:
        """`model_validate` under its older name."""
        return cls.model_validate(obj)

    @classmethod
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:
        """A model of fields by their names in JSON, of which nothing is refused; `_fields_set` is not needed."""
        return cls.from_dict(values)

    @classmethod
    def construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:
        """`model_construct` under its older name."""
        return cls.model_construct(_fields_set, **values)

    @classmethod
    def model_json_schema(cls, **options: Any) -> builtins.dict[str, Any]:
        """The JSON schema that pydantic makes of the model, with the keywords of its `TypeAdapter.json_schema`; pydantic is needed."""
        from .schema import adapter

        return adapter(cls).json_schema(**options)

    @classmethod
    def schema(cls, **options: Any) -> builtins.dict[str, Any]:
        """`model_json_schema` under its older name."""
        return cls.model_json_schema(**options)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """What pydantic asks for, when a model is the type of a field or of an answer of FastAPI."""
        from .schema import of_model

        return of_model(cls, handler)

    @method
    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, with some fields changed; `deep` copies what is inside too."""
        from .validate import copied

        return copied(self, update or {}, deep=deep)

    @method
    def copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """`model_copy` under its older name."""
        return self.model_copy(update=update, deep=deep)

    @property
    def model_fields_set(self) -> set[str]:
        """Names of the fields that are there, those that this version does not know among them."""
        from .dump import names

        declared = names(type(self.__content__))
        return {declared[wire].official if wire in declared else wire for wire in vars(self.__content__)}

    @property
    def model_extra(self) -> builtins.dict[str, Any]:
        """The fields that this version does not know."""
        from .dump import names

        declared = names(type(self.__content__))
        return {wire: value for wire, value in vars(self.__content__).items() if wire not in declared}
