#include "event.h"

#include <new>

#include "query.h"
#include "wire/messages.h"

namespace sterna::python {
namespace {

enum Slot : std::uint8_t { kMethod, kPath, kBody, kHeaders, kQuery, kSlotCount };

struct Event {
  PyObject_HEAD std::string_view payload;  // in the reader's buffer, or `owned`
  wire::RequestHead head;
  std::string_view body;
  std::string owned;
  PyObject* made[kSlotCount];
};

PyObject* event_type = nullptr;
PyObject* headers_type = nullptr;
PyObject* query_type = nullptr;

Event* as_event(PyObject* object) {
  return reinterpret_cast<Event*>(object);
}

Status point_to(Event* event, std::string_view payload) {
  event->payload = payload;
  return wire::read_request(payload, event->head, event->body);
}

void forget_made(Event* event) {
  for (PyObject*& object : event->made) Py_CLEAR(object);
}

PyObject* decode(std::string_view text, const char* encoding) {
  return PyUnicode_Decode(text.data(), static_cast<Py_ssize_t>(text.size()), encoding, "replace");
}

PyObject* decode_utf8(std::string_view text) {
  return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
}

// Appends (name, value) to `list`; takes both. False: a Python error is set.
bool append_pair(PyObject* list, Ref name, Ref value) {
  if (!name || !value) return false;
  const Ref pair(PyTuple_Pack(2, name.get(), value.get()));
  return pair && PyList_Append(list, pair.get()) == 0;
}

PyObject* make_headers(const Event* event) {
  const Ref pairs(PyList_New(0));
  if (!pairs) return nullptr;
  wire::HeaderWalk walk(event->head.headers, event->head.header_count);
  std::string_view name;
  std::string_view value;
  while (walk.next(name, value)) {
    if (!append_pair(pairs.get(), Ref(decode(name, "latin-1")), Ref(decode(value, "latin-1"))))
      return nullptr;
  }
  return PyObject_CallFunctionObjArgs(headers_type, pairs.get(), nullptr);
}

PyObject* make_query(const Event* event) {
  const Ref pairs(PyList_New(0));
  if (!pairs) return nullptr;
  QueryWalk walk(event->head.query);
  std::string_view name;
  std::string_view value;
  while (walk.next(name, value)) {
    if (!append_pair(pairs.get(), Ref(decode_utf8(decode_query_part(name))),
                     Ref(decode_utf8(decode_query_part(value))))) {
      return nullptr;
    }
  }
  return PyObject_CallFunctionObjArgs(query_type, pairs.get(), nullptr);
}

PyObject* make(const Event* event, Slot slot) {
  switch (slot) {
    case kMethod:
      return decode(event->head.method, "latin-1");
    case kPath:
      return decode_utf8(event->head.path);
    case kBody:
      return to_bytes(event->body);
    case kHeaders:
      return make_headers(event);
    default:
      return make_query(event);
  }
}

PyObject* get_slot(Event* event, Slot slot) {
  if (event->made[slot] == nullptr) {
    Ref made(make(event, slot));  // may run Python code, and so let another thread in
    if (event->made[slot] == nullptr) event->made[slot] = made.release();
  }
  Py_XINCREF(event->made[slot]);
  return event->made[slot];
}

template <Slot kSlot>
PyObject* get(PyObject* self, void* /*closure*/) {
  return get_slot(as_event(self), kSlot);
}

PyObject* repr(PyObject* self) {
  const Ref method(get_slot(as_event(self), kMethod));
  const Ref path(get_slot(as_event(self), kPath));
  if (!method || !path) return nullptr;
  return PyUnicode_FromFormat("<Event %U %U, %zu bytes>", method.get(), path.get(),
                              as_event(self)->body.size());
}

void dealloc(PyObject* self) {
  forget_made(as_event(self));
  as_event(self)->owned.~basic_string();
  PyObject_Free(self);
  Py_DECREF(event_type);
}

template <Slot kSlot>
PyGetSetDef attribute(const char* name, const char* doc) {
  return {name, get<kSlot>, nullptr, doc, nullptr};
}

PyGetSetDef attributes[] = {
    attribute<kMethod>("method", "str: the HTTP method, e.g. 'POST'"),
    attribute<kPath>("path", "str: what follows /invoke, percent-decoded; '/' when nothing follows"),
    attribute<kBody>("body", "bytes: the request's body"),
    attribute<kHeaders>("headers", "werkzeug.datastructures.Headers: repeated ones in order"),
    attribute<kQuery>("query", "werkzeug.datastructures.ImmutableMultiDict: repeated keys in order"),
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

char doc[] = "A request: method, path, query, headers and body.";

PyType_Slot slots[] = {
    {Py_tp_doc, doc},
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(repr)},
    {Py_tp_getset, attributes},
    {0, nullptr},
};

PyType_Spec spec = {
    "sterna_worker.Event", sizeof(Event), 0,
    static_cast<unsigned>(Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE),
    slots};

}  // namespace

bool add_event_type(PyObject* module) {
  event_type = PyType_FromSpec(&spec);
  return event_type != nullptr && PyModule_AddObjectRef(module, "Event", event_type) == 0;
}

void set_event_classes(PyObject* headers_class, PyObject* query_class) {
  Ref old_headers(std::exchange(headers_type, borrow(headers_class).release()));
  Ref old_query(std::exchange(query_type, borrow(query_class).release()));
}

Result<Ref> make_event(std::string_view payload) {
  Ref object(PyType_GenericAlloc(reinterpret_cast<PyTypeObject*>(event_type), 0));
  if (!object) return object;
  Event* const event = as_event(object.get());
  new (&event->owned) std::string();
  if (Status read = point_to(event, payload); !read) return std::unexpected(std::move(read.error()));
  return object;
}

Status reuse_event(PyObject* object, std::string_view payload) {
  Event* const event = as_event(object);
  forget_made(event);
  event->owned.clear();
  return point_to(event, payload);
}

void detach_event(PyObject* object) {
  Event* const event = as_event(object);
  if (event->payload.data() == event->owned.data()) return;
  event->owned = event->payload;
  const Status read = point_to(event, event->owned);
  STERNA_ASSERT(read.has_value());
}

}  // namespace sterna::python
