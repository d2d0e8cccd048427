// CPython's limited API, and the owner of one reference. Everything here is called with the GIL held.
#pragma once

#ifndef Py_LIMITED_API
#error "the runtime must run on every CPython from 3.10 on: build with Py_LIMITED_API=0x030A0000"
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <optional>
#include <string_view>
#include <utility>

namespace sterna::python {

class Ref {
 public:
  Ref() = default;
  explicit Ref(PyObject* owned) : object_(owned) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref&& other) noexcept {
    if (this != &other) reset(std::exchange(other.object_, nullptr));
    return *this;
  }
  Ref(const Ref&) = delete;
  Ref& operator=(const Ref&) = delete;
  ~Ref() { Py_XDECREF(object_); }

  PyObject* get() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  PyObject* release() { return std::exchange(object_, nullptr); }
  void reset(PyObject* owned = nullptr) { Py_XDECREF(std::exchange(object_, owned)); }

 private:
  PyObject* object_ = nullptr;
};

inline Ref borrow(PyObject* object) {
  Py_XINCREF(object);
  return Ref(object);
}

// The bytes of a str in UTF-8 or of a bytes object, borrowed from it. nullopt (no Python error is left set)
// for anything else and for a str that has no UTF-8 form.
inline std::optional<std::string_view> view_of(PyObject* object) {
  Py_ssize_t size = 0;
  if (PyUnicode_Check(object)) {
    const char* text = PyUnicode_AsUTF8AndSize(object, &size);
    if (text == nullptr) {
      PyErr_Clear();
      return std::nullopt;
    }
    return std::string_view(text, static_cast<std::size_t>(size));
  }
  char* bytes = nullptr;
  if (PyBytes_Check(object) && PyBytes_AsStringAndSize(object, &bytes, &size) == 0) {
    return std::string_view(bytes, static_cast<std::size_t>(size));
  }
  return std::nullopt;
}

inline PyObject* to_bytes(std::string_view text) {
  return PyBytes_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
}

}  // namespace sterna::python
