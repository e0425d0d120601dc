import pickle

import pytest

import zato.common
import zato.common.exception
import zato.server.connection.http_soap
from zato.common.exception import (
    BadRequest,
    ClientHTTPError,
    Forbidden,
    HTTPException,
    Inactive,
    InternalServerError,
    NotFound,
    Unauthorized,
    ValidationException,
    ZatoException,
)
from zato.common.marshal_.api import ElementIsNotAList, ElementMissing, ModelValidationError

STATUSES = {
    'BadRequest': 400,
    'Unauthorized': 401,
    'Forbidden': 403,
    'NotFound': 404,
    'MethodNotAllowed': 405,
    'Conflict': 409,
    'TooManyRequests': 429,
    'InternalServerError': 500,
    'ServiceUnavailable': 503,
    'AddressNotAllowed': 403,
    'RateLimitReached': 429,
    'JSONSchemaValidationException': 400,
    'PubSubSubscriptionExists': 400,
    'ParsingException': 400,
    'ValidationException': 400,
    'ZatoException': 500,
    'TimeoutException': 500,
}


@pytest.mark.parametrize(('name', 'status'), STATUSES.items())
def test_each_class_has_its_status(name, status):
    error = getattr(zato.common.exception, name)('a cid', 'a message')
    assert (error.status, error.cid, error.msg, str(error), error.args) == (
        status,
        'a cid',
        'a message',
        'a message',
        ('a message',),
    )
    assert isinstance(error, ZatoException)


@pytest.mark.parametrize('home', [zato.common, zato.server.connection.http_soap])
def test_all_homes_have_the_same_classes(home):
    names = [name for name in home.__all__ if hasattr(zato.common.exception, name)]
    assert 'BadRequest' in names
    for name in names:
        assert getattr(home, name) is getattr(zato.common.exception, name)


def test_some_have_a_message_of_their_own():
    assert BadRequest('cid').msg == 'Bad request'
    assert Forbidden('cid').msg == 'You are not allowed to access this resource'
    assert InternalServerError('cid').msg == 'Internal server error'
    assert NotFound('cid').msg is None
    assert str(Inactive('CRM')) == '`CRM` is inactive'


def test_what_is_about_http_is_told_from_the_rest():
    assert HTTPException('cid', 'short and stout', 418).status == 418
    assert HTTPException('cid', 'short and stout', 418).reason == "I'm a Teapot"
    assert HTTPException('cid', 'own', 599).reason == ''
    assert NotFound('cid', 'x').reason == 'Not Found'
    assert isinstance(NotFound('cid', 'x'), ClientHTTPError)
    assert not isinstance(InternalServerError('cid'), ClientHTTPError)
    assert not isinstance(ValidationException('cid', 'x'), HTTPException)
    assert not BadRequest('cid', 'x').needs_msg
    assert BadRequest('cid', 'x', needs_msg=True).needs_msg
    assert Unauthorized('cid', 'who?', 'Basic realm="Shop"').challenge == 'Basic realm="Shop"'


@pytest.mark.parametrize(
    'error',
    [NotFound('cid', 'x'), Unauthorized('cid', 'x', 'Basic'), HTTPException('cid', 'x', 418), Inactive('CRM')],
)
def test_they_can_be_pickled(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (again.args, vars(again), again.status) == (error.args, vars(error), error.status)


def test_missing_elements_name_themselves():
    error = ElementMissing('cust_id')
    assert (error.status, error.elem_path, error.msg, str(error)) == (
        400,
        'cust_id',
        'Element missing: cust_id',
        'Element missing: cust_id',
    )
    assert str(ElementIsNotAList('/tags')) == 'Element is not a list: /tags'
    assert isinstance(error, ModelValidationError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
