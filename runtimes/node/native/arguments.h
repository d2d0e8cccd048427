// The arguments of a native function as JavaScript gave them, and a few values the other way.
#pragma once

#include <node_api.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sterna::node {

// Only misuse by our own JavaScript makes these calls fail.
inline void must(napi_status status) {
  STERNA_ASSERT(status == napi_ok);
}

// Reads the arguments of one call. Views of text point into `scratch` and last as long as it is left alone.
class Arguments {
 public:
  static constexpr std::size_t kMost = 8;

  Arguments(napi_env env, napi_callback_info info) : env_(env) {
    std::size_t count = kMost;
    must(napi_get_cb_info(env, info, &count, values_.data(), &self_, &data_));
  }

  napi_value value(std::size_t at) const { return values_[at]; }

  // What the function was made for.
  template <class T>
  T& self() const {
    return *static_cast<T*>(data_);
  }
  napi_value self_value() const { return self_; }

  double number(std::size_t at) const {
    double number = 0;
    must(napi_get_value_double(env_, values_[at], &number));
    return number;
  }
  template <class Integer>
  Integer integer(std::size_t at) const {
    return static_cast<Integer>(number(at));
  }
  bool boolean(std::size_t at) const {
    bool boolean = false;
    must(napi_get_value_bool(env_, values_[at], &boolean));
    return boolean;
  }

  // A string as UTF-8, lone surrogates as U+FFFD; or the bytes of a Uint8Array.
  std::string_view bytes(std::size_t at, std::string& scratch) const;
  // A string of characters up to U+00FF, one byte each.
  std::string_view latin1(std::size_t at, std::string& scratch) const;

 private:
  napi_env env_;
  napi_value self_ = nullptr;
  void* data_ = nullptr;
  std::array<napi_value, kMost> values_{};
};

inline napi_value to_value(napi_env env, double number) {
  napi_value value = nullptr;
  must(napi_create_double(env, number, &value));
  return value;
}

inline napi_value to_value(napi_env env, bool boolean) {
  napi_value value = nullptr;
  must(napi_get_boolean(env, boolean, &value));
  return value;
}

inline napi_value null_value(napi_env env) {
  napi_value value = nullptr;
  must(napi_get_null(env, &value));
  return value;
}

// Throws an Error in JavaScript; answer what it answers.
inline napi_value throw_error(napi_env env, const Error& error) {
  must(napi_throw_error(env, nullptr, error.detail.c_str()));
  return nullptr;
}

}  // namespace sterna::node
