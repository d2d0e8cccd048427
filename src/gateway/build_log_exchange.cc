#include "gateway/build_log_exchange.h"

#include <fmt/format.h>

#include <utility>

#include "api/problem.h"
#include "base/number.h"
#include "gateway/log_exchange.h"
#include "gateway/problem_answer.h"
#include "gateway/route.h"

namespace sterna::gateway {
namespace {

constexpr std::size_t kMaxUnread = 4U << 20;       // of a follower; further lines are left out
constexpr std::size_t kCaughtUp = kMaxUnread / 2;  // then they are told again: one gap, not one a line
constexpr std::string_view kType = "application/x-ndjson";

}  // namespace

Result<BuildLogQuery> parse_build_log_query(std::string_view tail, std::string_view query) {
  BuildLogQuery parsed;
  if (tail.starts_with('/')) tail.remove_prefix(1);
  const std::size_t slash = std::min(tail.find('/'), tail.size());
  parsed.version = parse_number<std::int64_t>(tail.substr(0, slash)).value_or(0);
  if (parsed.version < 1 || tail.substr(slash) != "/logs") {
    return fail(Code::kNotFound, Component::kGateway, "not_found",
                "there is only {fn}/builds/{version}/logs");
  }
  const auto follow = query_switch(query, "follow");
  if (!follow) return std::unexpected(follow.error());
  parsed.follow = *follow;
  return parsed;
}

void BuildLogExchange::start(net::Loop& loop, net::Background& thread, logs::BuildLogs& logs,
                             net::HttpConnection& connection, const std::string& function_id,
                             const BuildLogQuery& query) {
  auto exchange = std::make_shared<BuildLogExchange>(connection, logs);
  if (const auto recent = logs.recent(function_id, query.version)) {
    if (query.follow && connection.request().method == "HEAD") return answer_head_of_lines(connection);
    connection.observe(exchange.get());
    if (!query.follow || !logs.follow(function_id, query.version, *exchange))
      return exchange->answer(*recent);
    exchange->self_ = exchange;
    connection.begin(200);
    connection.header("Content-Type", kType);
    connection.begin_stream(std::nullopt);
    connection.write(*recent);
    return;
  }
  connection.observe(exchange.get());
  thread.run([&loop, &logs, exchange, function_id, version = query.version] {
    loop.post([exchange, text = logs.load(function_id, version)] { exchange->answer(text); });
  });
}

void BuildLogExchange::answer(const Result<std::string>& text) {
  net::HttpConnection* const connection = std::exchange(connection_, nullptr);
  if (connection == nullptr) return;
  connection->observe(nullptr);
  if (!text) {
    return answer_problem(*connection, static_cast<unsigned>(api::http_status(text.error())), text.error());
  }
  connection->begin(200);
  connection->header("Content-Type", kType);
  connection->send(*text);
}

void BuildLogExchange::on_build_line(std::string_view ndjson) {
  if (connection_ == nullptr) return;
  const std::size_t most = left_out_ > 0 ? kCaughtUp : kMaxUnread;
  if (connection_->buffered() + ndjson.size() > most) {
    ++left_out_;
    return;
  }
  tell_what_is_left_out();
  connection_->write(ndjson);
}

void BuildLogExchange::tell_what_is_left_out() {
  if (left_out_ == 0) return;
  connection_->write(logs_.record(
      logs::BuildStream::kPlatform,
      fmt::format("... {} lines are left out here: they came faster than they were read ...", left_out_)));
  left_out_ = 0;
}

void BuildLogExchange::on_build_end() {
  const auto keep = std::move(self_);
  if (connection_ != nullptr) tell_what_is_left_out();
  net::HttpConnection* const connection = std::exchange(connection_, nullptr);
  if (connection == nullptr) return;
  connection->observe(nullptr);
  connection->finish();
}

void BuildLogExchange::on_server_ends() {
  if (self_ == nullptr) return;  // the whole log is on its way
  logs_.unfollow(*this);
  if (connection_->buffered() > 0 && !std::exchange(ending_, true)) return;
  const auto keep = std::move(self_);
  net::HttpConnection* const ended = std::exchange(connection_, nullptr);
  ended->observe(nullptr);
  end_lines(*ended);
}

void BuildLogExchange::on_client_gone() {
  connection_ = nullptr;
  logs_.unfollow(*this);
  self_.reset();
}

}  // namespace sterna::gateway
