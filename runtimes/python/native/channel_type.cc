#include "channel_type.h"

#include <memory>
#include <string>

#include "answer.h"
#include "event.h"
#include "gil.h"
#include "handler_server.h"
#include "wire/messages.h"
#include "worker/channel.h"

namespace sterna::python {

using worker::Arrival;
using worker::Wait;

namespace {

struct ChannelObject {
  PyObject_HEAD Channel* channel;  // owned
  HandlerServer* serving;          // borrowed from serve_sync while it runs
};

PyObject* channel_type = nullptr;
Gil gil;

ChannelObject* as_object(PyObject* self) {
  return reinterpret_cast<ChannelObject*>(self);
}
Channel& channel_of(PyObject* self) {
  return *as_object(self)->channel;
}

PyObject* raise(const Error& error) {
  PyErr_SetString(PyExc_ConnectionError, error.detail.c_str());
  return nullptr;
}

wire::More more_of(int more) {
  return more != 0 ? wire::More::kYes : wire::More::kNo;
}

PyObject* create(PyTypeObject* type, PyObject* args, PyObject* /*keywords*/) {
  int socket = -1;
  int claim = -1;
  if (PyArg_ParseTuple(args, "ii", &socket, &claim) == 0) return nullptr;
  Result<std::unique_ptr<Channel>> channel = Channel::open(UniqueFd(socket), UniqueFd(claim), gil);
  if (!channel) return raise(channel.error());
  PyObject* const self = PyType_GenericAlloc(type, 0);
  if (self != nullptr) as_object(self)->channel = channel->release();
  return self;
}

void dealloc(PyObject* self) {
  delete as_object(self)->channel;
  PyObject_Free(self);
  Py_DECREF(channel_type);
}

PyObject* read_init(PyObject* self, PyObject* /*none*/) {
  Channel& channel = channel_of(self);
  while (true) {
    const auto read = channel.reader().next();
    if (!read) return raise(read.error());
    if (const std::optional<wire::Frame>& frame = *read) {
      if (frame->type == wire::FrameType::kInit) return to_bytes(frame->payload);
      PyErr_SetString(PyExc_ConnectionError, "the first frame is not INIT");
      return nullptr;
    }
    if (channel.fill(Wait::kYes) == Channel::Filled::kEnd) Py_RETURN_NONE;
  }
}

PyObject* send(PyObject* self, PyObject* args) {
  int type = 0;
  const char* payload = nullptr;
  Py_ssize_t size = 0;
  if (PyArg_ParseTuple(args, "iy#", &type, &payload, &size) == 0) return nullptr;
  Channel& channel = channel_of(self);
  channel.lines().end_all(channel.out());
  wire::append_frame(channel.out(), static_cast<wire::FrameType>(type), wire::More::kNo, 0, 0,
                     std::string_view(payload, static_cast<std::size_t>(size)));
  channel.flush();
  Py_RETURN_NONE;
}

PyObject* serve_sync(PyObject* self, PyObject* args) {
  PyObject* handle = nullptr;
  PyObject* finish = nullptr;
  PyObject* new_context = nullptr;
  PyObject* run_in = nullptr;
  if (PyArg_ParseTuple(args, "OOOO", &handle, &finish, &new_context, &run_in) == 0) return nullptr;
  HandlerServer server(channel_of(self), handle, finish, new_context, run_in);
  as_object(self)->serving = &server;
  const bool ended_well = server.serve();
  as_object(self)->serving = nullptr;
  if (!ended_well) return nullptr;
  Py_RETURN_NONE;
}

HandlerServer* serving(PyObject* self) {
  HandlerServer* const server = as_object(self)->serving;
  if (server == nullptr) PyErr_SetString(PyExc_RuntimeError, "only while serve_sync runs");
  return server;
}

PyObject* take_window(PyObject* self, PyObject* args) {
  Py_ssize_t wanted = 0;
  if (PyArg_ParseTuple(args, "n", &wanted) == 0) return nullptr;
  HandlerServer* const server = serving(self);
  if (server == nullptr) return nullptr;
  const Py_ssize_t taken = server->take_window(static_cast<std::size_t>(wanted));
  return taken < 0 ? nullptr : PyLong_FromSsize_t(taken);
}

PyObject* is_cancelled(PyObject* self, PyObject* /*none*/) {
  HandlerServer* const server = serving(self);
  if (server == nullptr) return nullptr;
  const std::optional<bool> cancelled = server->is_cancelled();
  return cancelled ? PyBool_FromLong(*cancelled ? 1 : 0) : nullptr;
}

// (kind, call, slot, value): value is an Event for requests, a number of bytes for windows, else None.
PyObject* describe(const Arrival& arrival) {
  Ref value;
  if (arrival.kind == Arrival::Kind::kRequest) {
    Result<Ref> event = make_event(arrival.payload);
    if (!event) return raise(event.error());
    if (!*event) return nullptr;
    detach_event(event->get());
    value = std::move(*event);
  } else if (arrival.kind == Arrival::Kind::kWindow) {
    value = Ref(PyLong_FromUnsignedLong(arrival.bytes));
  } else {
    value = borrow(Py_None);
  }
  return Py_BuildValue("iKHN", static_cast<int>(arrival.kind), static_cast<unsigned long long>(arrival.call),
                       arrival.slot, value.release());
}

bool append_arrivals(Channel& channel, PyObject* list) {
  while (true) {
    const auto read = channel.reader().next();
    if (!read) return raise(read.error()) != nullptr;
    const std::optional<wire::Frame>& frame = *read;
    if (!frame) return true;
    const Result<Arrival> arrival = channel.inbox().accept(*frame);
    if (!arrival) return raise(arrival.error()) != nullptr;
    if (arrival->kind == Arrival::Kind::kNothing) continue;
    const Ref described(describe(*arrival));
    if (!described || PyList_Append(list, described.get()) != 0) return false;
  }
}

PyObject* receive(PyObject* self, PyObject* args) {
  int wait = 0;
  if (PyArg_ParseTuple(args, "p", &wait) == 0) return nullptr;
  Ref list(PyList_New(0));
  if (!list || !append_arrivals(channel_of(self), list.get())) return nullptr;
  if (PyList_Size(list.get()) != 0) return list.release();
  const Channel::Filled filled = channel_of(self).fill(wait != 0 ? Wait::kYes : Wait::kNo);
  if (filled == Channel::Filled::kEnd) Py_RETURN_NONE;
  return append_arrivals(channel_of(self), list.get()) ? list.release() : nullptr;
}

PyObject* claim(PyObject* self, PyObject* args) {
  unsigned long long call = 0;
  unsigned short slot = 0;
  if (PyArg_ParseTuple(args, "KH", &call, &slot) == 0) return nullptr;
  return PyBool_FromLong(channel_of(self).claim(slot, call) ? 1 : 0);
}

PyObject* answer(PyObject* self, PyObject* args) {
  unsigned long long call = 0;
  unsigned short slot = 0;
  unsigned long long run_ns = 0;
  PyObject* object = nullptr;
  if (PyArg_ParseTuple(args, "KHKO", &call, &slot, &run_ns, &object) == 0) return nullptr;
  return PyBool_FromLong(write_common_answer(channel_of(self), {call, slot}, run_ns, object) ? 1 : 0);
}

// Appends each (name, value) of a list of pairs of bytes to `block`. False: a Python error is set.
bool append_pairs(std::string& block, PyObject* pairs) {
  const Py_ssize_t count = PyList_Size(pairs);
  for (Py_ssize_t at = 0; at < count; ++at) {
    const char* name = nullptr;
    const char* value = nullptr;
    Py_ssize_t name_size = 0;
    Py_ssize_t value_size = 0;
    if (PyArg_ParseTuple(PyList_GetItem(pairs, at), "y#y#", &name, &name_size, &value, &value_size) == 0)
      return false;
    wire::append_header(block, std::string_view(name, static_cast<std::size_t>(name_size)),
                        std::string_view(value, static_cast<std::size_t>(value_size)));
  }
  return count >= 0;
}

PyObject* respond(PyObject* self, PyObject* args) {
  unsigned long long call = 0;
  unsigned short slot = 0;
  unsigned long long run_ns = 0;
  unsigned int status = 0;
  PyObject* pairs = nullptr;
  const char* body = nullptr;
  Py_ssize_t body_size = 0;
  unsigned long long content_length = 0;
  int more = 0;
  if (PyArg_ParseTuple(args, "KHKIO!y#Kp", &call, &slot, &run_ns, &status, &PyList_Type, &pairs, &body,
                       &body_size, &content_length, &more) == 0) {
    return nullptr;
  }
  std::string block;
  if (!append_pairs(block, pairs)) return nullptr;
  const wire::ResponseHead head{.status = status,
                                .run_ns = run_ns,
                                .content_length = content_length,
                                .header_count = static_cast<std::uint32_t>(PyList_Size(pairs)),
                                .headers = block};
  Channel& channel = channel_of(self);
  channel.lines().end_call(channel.out(), call);
  const std::size_t offset =
      wire::open_frame(channel.out(), wire::FrameType::kResponse, more_of(more), slot, call);
  wire::append_response(channel.out(), head, std::string_view(body, static_cast<std::size_t>(body_size)));
  wire::close_frame(channel.out(), offset);
  Py_RETURN_NONE;
}

PyObject* part(PyObject* self, PyObject* args) {
  unsigned long long call = 0;
  unsigned short slot = 0;
  const char* body = nullptr;
  Py_ssize_t body_size = 0;
  int more = 0;
  if (PyArg_ParseTuple(args, "KHy#p", &call, &slot, &body, &body_size, &more) == 0) return nullptr;
  Channel& channel = channel_of(self);
  if (more == 0) channel.lines().end_call(channel.out(), call);
  wire::append_frame(channel.out(), wire::FrameType::kResponseBody, more_of(more), slot, call,
                     std::string_view(body, static_cast<std::size_t>(body_size)));
  Py_RETURN_NONE;
}

PyObject* failed(PyObject* self, PyObject* args) {
  unsigned long long call = 0;
  unsigned short slot = 0;
  unsigned int kind = 0;
  unsigned long long run_ns = 0;
  const char* text = nullptr;
  Py_ssize_t size = 0;
  if (PyArg_ParseTuple(args, "KHIKy#", &call, &slot, &kind, &run_ns, &text, &size) == 0) return nullptr;
  channel_of(self).fail_call(slot, call,
                             {.kind = static_cast<wire::FailKind>(kind),
                              .run_ns = run_ns,
                              .text = std::string_view(text, static_cast<std::size_t>(size))});
  Py_RETURN_NONE;
}

// Answers False when this process may not speak on the channel: then the text belongs to the output pipe.
PyObject* log(PyObject* self, PyObject* args) {
  unsigned long long call = 0;
  int stream = 0;
  const char* text = nullptr;
  Py_ssize_t size = 0;
  if (PyArg_ParseTuple(args, "Kiy#", &call, &stream, &text, &size) == 0) return nullptr;
  Channel& channel = channel_of(self);
  if (channel.closed()) Py_RETURN_FALSE;
  channel.log(call, static_cast<wire::Stream>(stream),
              std::string_view(text, static_cast<std::size_t>(size)));
  Py_RETURN_TRUE;
}

PyObject* end_lines(PyObject* self, PyObject* /*none*/) {
  channel_of(self).lines().end_all(channel_of(self).out());
  channel_of(self).flush();
  Py_RETURN_NONE;
}

PyObject* current_call(PyObject* self, PyObject* /*none*/) {
  return PyLong_FromUnsignedLongLong(channel_of(self).current_call);
}

PyObject* flush(PyObject* self, PyObject* /*none*/) {
  channel_of(self).flush();
  Py_RETURN_NONE;
}

PyObject* try_flush(PyObject* self, PyObject* /*none*/) {
  return PyBool_FromLong(channel_of(self).try_flush() ? 1 : 0);
}

PyObject* is_closed(PyObject* self, PyObject* /*none*/) {
  return PyBool_FromLong(channel_of(self).closed() ? 1 : 0);
}

PyObject* fileno(PyObject* self, PyObject* /*none*/) {
  return PyLong_FromLong(channel_of(self).fd());
}

PyMethodDef methods[] = {
    {"read_init", read_init, METH_NOARGS, "() -> bytes | None: waits for INIT; None when the server is gone"},
    {"send", send, METH_VARARGS, "(type, payload): a frame without a call, sent at once"},
    {"serve_sync", serve_sync, METH_VARARGS,
     "(handle, finish, new_context, run_in): one call at a time until the end"},
    {"take_window", take_window, METH_VARARGS,
     "(wanted) -> int: bytes that may be sent; waits; 0 when cancelled"},
    {"receive", receive, METH_VARARGS, "(wait) -> list of (kind, call, slot, value) | None at the end"},
    {"claim", claim, METH_VARARGS, "(call, slot) -> bool: False when the call was taken back"},
    {"answer", answer, METH_VARARGS,
     "(call, slot, run_ns, answer) -> bool: False when it is not a common answer"},
    {"respond", respond, METH_VARARGS, "(call, slot, run_ns, status, pairs, body, content_length, more)"},
    {"part", part, METH_VARARGS, "(call, slot, body, more)"},
    {"failed", failed, METH_VARARGS, "(call, slot, kind, run_ns, text)"},
    {"log", log, METH_VARARGS, "(call, stream, text) -> bool"},
    {"end_lines", end_lines, METH_NOARGS, "(): sends all unfinished lines"},
    {"current_call", current_call, METH_NOARGS, "() -> int: the call that runs under serve_sync; 0 outside"},
    {"flush", flush, METH_NOARGS, "(): sends all; waits for room"},
    {"try_flush", try_flush, METH_NOARGS, "() -> bool: sends what the socket takes; True when all is gone"},
    {"is_cancelled", is_cancelled, METH_NOARGS,
     "() -> bool: whether the running call of serve_sync is cancelled"},
    {"fileno", fileno, METH_NOARGS, "() -> int: the socket; -1 when closed"},
    {"is_closed", is_closed, METH_NOARGS, "() -> bool: the server is gone or this is a fork of the worker"},
    {nullptr, nullptr, 0, nullptr},
};

char doc[] = "Channel(socket_fd, claim_fd): the worker's end of the connection; takes both descriptors.";

PyType_Slot slots[] = {
    {Py_tp_doc, doc},
    {Py_tp_new, reinterpret_cast<void*>(create)},
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
    {Py_tp_methods, methods},
    {0, nullptr},
};

PyType_Spec spec = {"_sterna.Channel", sizeof(ChannelObject), 0, static_cast<unsigned>(Py_TPFLAGS_DEFAULT),
                    slots};

}  // namespace

bool add_channel_type(PyObject* module) {
  channel_type = PyType_FromSpec(&spec);
  return channel_type != nullptr && PyModule_AddObjectRef(module, "Channel", channel_type) == 0;
}

}  // namespace sterna::python
