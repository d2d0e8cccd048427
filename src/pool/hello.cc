#include "pool/hello.h"

#include <nlohmann/json.hpp>

#include "base/printable.h"
#include "wire/frame.h"

namespace sterna::pool {
namespace {

using nlohmann::json;

// A worker is not trusted to send little, nor text that can be shown. Nothing is built but what is kept: the
// loop's time is everybody's.
class Reader final : public nlohmann::json_sax<json> {
 public:
  explicit Reader(Hello& hello) : hello_(hello) {}

  bool start_object(std::size_t) override { return std::exchange(depth_, 1) == 0; }
  bool end_object() override { return true; }
  bool key(string_t& name) override {
    key_ = std::move(name);
    return ++members_ <= kMaxMembers;
  }
  bool string(string_t& text) override {
    if (depth_ == 0) return false;
    if (key_ == "runtime") hello_.runtime = line(text, Hello::kMaxRuntime);
    if (key_ == "not_paused") hello_.not_paused = line(text, Hello::kMaxSummary);
    if (key_ == "summary") hello_.summary = line(text, Hello::kMaxSummary);
    if (key_ == "detail") hello_.detail = printable(text);
    return true;
  }
  bool boolean(bool value) override {
    if (key_ == "async") hello_.async = value;
    return depth_ > 0;
  }
  bool null() override { return depth_ > 0; }
  bool number_integer(number_integer_t) override { return depth_ > 0; }
  bool number_unsigned(number_unsigned_t) override { return depth_ > 0; }
  bool number_float(number_float_t, const string_t&) override { return depth_ > 0; }
  bool binary(binary_t&) override { return false; }
  bool start_array(std::size_t) override { return false; }
  bool end_array() override { return false; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  static constexpr int kMaxMembers = 16;
  static std::string line(std::string_view text, std::size_t limit) {
    return printable(text, limit, LineFeeds::kReplaced);
  }

  Hello& hello_;
  int depth_ = 0;
  int members_ = 0;
  std::string key_;
};

}  // namespace

std::optional<Hello> read_hello(std::string_view payload) {
  Hello hello;
  Reader reader(hello);
  if (payload.size() > wire::kMaxHelloBytes || !json::sax_parse(payload, &reader)) return std::nullopt;
  return hello;
}

}  // namespace sterna::pool
