#include "gateway/log_exchange.h"

#include "api/problem.h"
#include "base/number.h"
#include "gateway/problem_answer.h"
#include "gateway/route.h"

namespace sterna::gateway {
namespace {

constexpr std::size_t kMaxUnread = 4U
                                   << 20;  // a follower that reads slower than the function writes is cut off

constexpr std::string_view kLinesType = "application/x-ndjson";

std::unexpected<Error> bad_parameter(std::string detail) {
  return fail(Code::kInvalid, Component::kGateway, "bad_parameter", std::move(detail));
}

}  // namespace

void answer_head_of_lines(net::HttpConnection& connection) {
  connection.begin(200);
  connection.header("Content-Type", kLinesType);
  connection.begin_stream(std::nullopt);
  connection.finish();
}

void end_lines(net::HttpConnection& connection) {
  return connection.buffered() == 0 ? connection.finish() : connection.abort();
}

Result<LogQuery> parse_log_query(std::string_view query) {
  LogQuery parsed;
  std::string value;
  if (query_parameter(query, "since", value)) {
    const auto since = parse_rfc3339(value);
    if (!since) return bad_parameter("since is " + since.error().detail);
    parsed.query.filter.since = *since;
  }
  if (query_parameter(query, "tail", value)) {
    const auto tail = parse_number<std::size_t>(value);
    if (!tail || *tail > logs::kMaxTail)
      return bad_parameter("tail must be a number from 0 to " + std::to_string(logs::kMaxTail));
    parsed.query.tail = *tail;
  }
  if (query_parameter(query, "call_id", value)) parsed.query.filter.call_id = value;
  const auto follow = query_switch(query, "follow");
  if (!follow) return std::unexpected(follow.error());
  parsed.follow = *follow;
  const auto invocations = query_switch(query, "invocations");
  if (!invocations) return std::unexpected(invocations.error());
  if (*invocations && !parsed.follow) return bad_parameter("invocations are only shown with follow=true");
  if (*invocations) parsed.query.filter.show = logs::Show::kLinesAndInvocations;
  return parsed;
}

void LogExchange::start(net::Loop& loop, net::Background& thread, logs::FunctionLogs& logs,
                        net::HttpConnection& connection, const std::string& function_id, LogQuery query) {
  if (query.follow && connection.request().method == "HEAD") return answer_head_of_lines(connection);
  auto exchange = std::make_shared<LogExchange>(connection, query.follow);
  connection.observe(exchange.get());
  if (query.follow) {
    auto subscription = logs.follow(
        function_id, query.query.filter,
        [raw = exchange.get()](const logs::Record& record) { raw->on_record(record); },
        [raw = exchange.get()] { raw->on_removed(); });
    if (!subscription) {
      connection.observe(nullptr);
      return answer_problem(connection, static_cast<unsigned>(api::http_status(subscription.error())),
                            subscription.error());
    }
    query.query.before = subscription->start();
    exchange->subscription_.emplace(std::move(*subscription));
    exchange->self_ = exchange;
  }
  thread.run([&loop, &logs, exchange, function_id, query = query.query] {
    loop.post([exchange, records = logs.query(function_id, query)] { exchange->on_past(records); });
  });
}

void LogExchange::on_past(const Result<std::vector<logs::Record>>& records) {
  if (connection_ == nullptr) return;
  if (!records) {
    connection_->observe(nullptr);
    answer_problem(*connection_, static_cast<unsigned>(api::http_status(records.error())), records.error());
    connection_ = nullptr;
    subscription_.reset();
    self_.reset();
    return;
  }
  std::string text;
  for (const logs::Record& record : *records) text += to_ndjson(record);
  connection_->begin(200);
  connection_->header("Content-Type", kLinesType);
  if (!follow_) {
    connection_->observe(nullptr);
    return connection_->send(text.append(early_));
  }
  streaming_ = true;
  connection_->begin_stream(std::nullopt);
  connection_->write(text);
  connection_->write(std::exchange(early_, {}));
}

void LogExchange::on_record(const logs::Record& record) {
  if (connection_ == nullptr) return;
  const std::string line = to_ndjson(record);
  if (!streaming_) {
    if (early_.size() < kMaxUnread) early_ += line;
    return;
  }
  if (connection_->buffered() + line.size() <= kMaxUnread) return connection_->write(line);
  net::HttpConnection* slow = std::exchange(connection_, nullptr);
  slow->observe(nullptr);
  slow->abort();
  self_.reset();  // the subscription ends with us, when the logs are through with their followers
}

// The function is deleted: nothing more comes.
void LogExchange::on_removed() {
  follow_ = false;
  if (streaming_ && connection_ != nullptr) {
    net::HttpConnection* ended = std::exchange(connection_, nullptr);
    ended->observe(nullptr);
    ended->finish();
  }
  self_.reset();
}

void LogExchange::on_server_ends() {
  follow_ = false;
  subscription_.reset();
  if (streaming_) {
    if (connection_->buffered() > 0 && !std::exchange(ending_, true)) return;
    net::HttpConnection* ended = std::exchange(connection_, nullptr);
    ended->observe(nullptr);
    end_lines(*ended);
  }
  self_.reset();
}

void LogExchange::on_client_gone() {
  connection_ = nullptr;
  subscription_.reset();
  self_.reset();
}

}  // namespace sterna::gateway
