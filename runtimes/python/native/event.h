// What user code gets as `req`: method, path, query, headers, body; every attribute is made at first access
// and kept.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "python.h"

namespace sterna::python {

// Makes the type and puts it into `module`. False: a Python error is set.
bool add_event_type(PyObject* module);

// The classes that `headers` and `query` are made with (werkzeug's Headers and ImmutableMultiDict).
void set_event_classes(PyObject* headers_class, PyObject* query_class);

// An Event over a request payload (wire/messages.h) that the caller keeps alive until `detach_event`.
// Fails with invalid when the payload is malformed; a null Ref means that a Python error is set.
Result<Ref> make_event(std::string_view payload);

// Points an Event that only the caller holds to another request.
Status reuse_event(PyObject* event, std::string_view payload);

// Copies the payload into the Event, which then may live on.
void detach_event(PyObject* event);

}  // namespace sterna::python
