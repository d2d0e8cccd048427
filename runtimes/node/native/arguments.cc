#include "arguments.h"

namespace sterna::node {
namespace {

using ReadString = napi_status (*)(napi_env, napi_value, char*, std::size_t, std::size_t*);

std::string_view read_string(napi_env env, napi_value value, std::string& scratch, ReadString read) {
  // Most fit into what is there: their length need not be asked for first.
  constexpr std::size_t kUsual = 4096;
  constexpr std::size_t kMostForOneUnit = 4;  // what is not written whole leaves at most so much unused
  if (scratch.size() < kUsual) scratch.resize(kUsual);
  std::size_t size = 0;
  must(read(env, value, scratch.data(), scratch.size(), &size));
  if (size + kMostForOneUnit < scratch.size()) return {scratch.data(), size};
  must(read(env, value, nullptr, 0, &size));
  if (scratch.size() < size + 1) scratch.resize(size + 1);  // it ends with a zero
  must(read(env, value, scratch.data(), scratch.size(), &size));
  return {scratch.data(), size};
}

}  // namespace

std::string_view Arguments::bytes(std::size_t at, std::string& scratch) const {
  napi_valuetype type = napi_undefined;
  must(napi_typeof(env_, values_[at], &type));
  if (type == napi_string) return read_string(env_, values_[at], scratch, napi_get_value_string_utf8);
  void* data = nullptr;
  std::size_t size = 0;
  must(napi_get_buffer_info(env_, values_[at], &data, &size));
  return {static_cast<const char*>(data), size};
}

std::string_view Arguments::latin1(std::size_t at, std::string& scratch) const {
  return read_string(env_, values_[at], scratch, napi_get_value_string_latin1);
}

}  // namespace sterna::node
