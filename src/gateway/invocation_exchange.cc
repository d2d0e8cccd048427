#include "gateway/invocation_exchange.h"

#include "api/paging.h"
#include "api/problem.h"
#include "base/number.h"
#include "base/ulid.h"
#include "gateway/answer_stream.h"
#include "gateway/invocation_json.h"
#include "gateway/problem_answer.h"
#include "gateway/route.h"
#include "queue/failures.h"

namespace sterna::gateway {
namespace {

using Resource = InvocationRoute::Resource;

constexpr unsigned kMaxWaitSeconds = 300;
constexpr std::string_view kStatusHeader = "X-Function-Status";

std::unexpected<Error> bad_parameter(std::string detail) {
  return fail(Code::kInvalid, Component::kGateway, "bad_parameter", std::move(detail));
}

std::optional<std::string> parameter(std::string_view query, std::string_view name) {
  std::string value;
  return query_parameter(query, name, value) ? std::optional(std::move(value)) : std::nullopt;
}

Result<queue::Filter> parse_filter(std::string_view query) {
  queue::Filter filter;
  if (const auto state = parameter(query, "state")) {
    filter.state = queue::parse_state(*state);
    if (!filter.state)
      return bad_parameter("state is one of queued, running, succeeded, failed, cancelled, expired");
  }
  if (const auto delivery = parameter(query, "delivery")) {
    filter.delivery = queue::parse_delivery(*delivery);
    if (!filter.delivery) return bad_parameter("delivery is one of none, pending, delivered, undeliverable");
  }
  return filter;
}

Result<Duration> parse_wait(std::string_view query) {
  const auto text = parameter(query, "wait");
  if (!text) return Duration::zero();
  const auto seconds = parse_number<unsigned>(*text);
  if (!seconds || *seconds > kMaxWaitSeconds)
    return bad_parameter("wait is a whole number of seconds from 0 to " + std::to_string(kMaxWaitSeconds));
  return std::chrono::seconds(*seconds);
}

}  // namespace

std::optional<InvocationRoute> parse_invocation_route(std::string_view tail) {
  InvocationRoute route;
  if (tail.empty() || tail == "/") return route;
  tail.remove_prefix(1);
  route.id = tail.substr(0, tail.find('/'));
  tail.remove_prefix(route.id.size());
  route.resource = tail.empty()           ? Resource::kOne
                   : tail == "/response"  ? Resource::kResponse
                   : tail == "/redrive"   ? Resource::kRedrive
                   : tail == "/redeliver" ? Resource::kRedeliver
                                          : Resource::kList;
  if (route.resource == Resource::kList || route.id.empty()) return std::nullopt;
  return route;
}

std::string_view allowed_methods(Resource resource) {
  switch (resource) {
    case Resource::kList:
    case Resource::kResponse:
      return "GET, HEAD";
    case Resource::kOne:
      return "GET, HEAD, DELETE";
    case Resource::kRedrive:
    case Resource::kRedeliver:
      break;
  }
  return "POST";
}

void InvocationExchange::start(net::Loop& loop, net::Background& reading, const AsyncParts& parts,
                               net::HttpConnection& connection, queue::FunctionName function,
                               InvocationRoute route, std::string_view query, const Terms& terms,
                               Meters meters) {
  auto exchange = std::make_shared<InvocationExchange>(loop, reading, parts, connection, std::move(function),
                                                       std::move(route), std::move(meters));
  connection.observe(exchange.get());
  const std::string method(connection.request().method);
  switch (exchange->route_.resource) {
    case Resource::kList:
      return exchange->list(query);
    case Resource::kOne:
      return only_reads(method) ? exchange->get(query) : exchange->change(method, terms);
    case Resource::kResponse:
      return exchange->response();
    case Resource::kRedrive:
    case Resource::kRedeliver:
      return exchange->change(method, terms);
  }
}

void InvocationExchange::on_client_gone() {
  connection_ = nullptr;
  stop_waiting();
}

// The state as it is: the end may come after the next start.
void InvocationExchange::on_server_ends() {
  if (!may_wait_) return;
  const auto keep = shared_from_this();
  stop_waiting();
  look();
}

void InvocationExchange::refuse(const Error& error) {
  if (connection_ == nullptr) return;
  net::HttpConnection& connection = *std::exchange(connection_, nullptr);
  connection.observe(nullptr);
  answer_problem(connection, static_cast<unsigned>(api::http_status(error)), error);
}

void InvocationExchange::answer_json(unsigned status, const api::OrderedJson& json) {
  net::HttpConnection& connection = *std::exchange(connection_, nullptr);
  connection.observe(nullptr);
  connection.begin(status);
  connection.header("Content-Type", "application/json");
  if (!route_.id.empty()) connection.header("X-Call-Id", route_.id);
  connection.send(api::dump(json));
}

// --- list ---

void InvocationExchange::list(std::string_view query) {
  const auto filter = parse_filter(query);
  if (!filter) return refuse(filter.error());
  const auto page = api::parse_page(parameter(query, "limit"), parameter(query, "cursor"));
  if (!page) {
    const api::FieldError& first = page.error().front();
    return refuse(bad_parameter(first.field + " is " + first.message).error());
  }
  parts_.invocations.list(
      function_.id, *filter, page->limit, page->after,
      [self = shared_from_this()](Result<queue::Listing> listing) { self->on_listing(std::move(listing)); });
}

void InvocationExchange::on_listing(Result<queue::Listing> listing) {
  if (connection_ == nullptr) return;
  if (!listing) return refuse(listing.error());
  api::OrderedJson data = api::OrderedJson::array();
  for (const queue::Record& record : listing->records) data.push_back(to_json(record));
  const auto next =
      listing->next_cursor.transform([](const auto& cursor) { return api::make_cursor(cursor); });
  answer_json(200, api::page_json(std::move(data), next));
}

// --- look and wait ---

void InvocationExchange::get(std::string_view query) {
  const auto wait = parse_wait(query);
  if (!wait) return refuse(wait.error());
  if (*wait > Duration::zero()) {
    may_wait_ = true;
    waiting_ = parts_.settlements.wait(function_.id, route_.id, [self = shared_from_this()](WaitEnd end) {
      self->stop_waiting();
      if (end == WaitEnd::kFunctionDeleted) return self->refuse(queue::function_gone().error());
      self->look();
    });
    timer_ = loop_.after(*wait, [self = shared_from_this()] {
      self->stop_waiting();
      self->look();
    });
  }
  look();
}

void InvocationExchange::look() {
  if (connection_ == nullptr) return;
  ++looks_;
  parts_.invocations.find(function_.id, route_.id, [self = shared_from_this()](Result<queue::Record> record) {
    self->on_record(std::move(record));
  });
}

void InvocationExchange::on_record(Result<queue::Record> record) {
  --looks_;
  if (connection_ == nullptr) return;
  if (record && (may_wait_ || looks_ > 0) && !queue::is_settled(record->state)) return;
  stop_waiting();
  if (!record) return refuse(record.error());
  answer_json(200, to_json(*record));
}

void InvocationExchange::stop_waiting() {
  const auto keep = shared_from_this();
  may_wait_ = false;
  if (const auto waiting = std::exchange(waiting_, std::nullopt)) parts_.settlements.forget(*waiting);
  loop_.cancel(timer_);
}

// --- the answer ---

void InvocationExchange::response() {
  parts_.invocations.answer(function_.id, route_.id,
                            [self = shared_from_this()](Result<queue::StoredAnswer> answer) {
                              self->on_answer(std::move(answer));
                            });
}

void InvocationExchange::on_answer(Result<queue::StoredAnswer> answer) {
  if (connection_ == nullptr) return;
  if (!answer) return refuse(answer.error());
  net::HttpConnection& connection = *std::exchange(connection_, nullptr);
  connection.begin(200);
  connection.header(kStatusHeader, std::to_string(answer->status_code));
  connection.header("X-Call-Id", route_.id);
  AnswerStream::start(loop_, reading_, connection, std::move(*answer), meters_, kStatusHeader);
}

// --- changes ---

void InvocationExchange::change(std::string_view method, const Terms& terms) {
  auto done = [self = shared_from_this()](Result<void> changed) { self->on_changed(std::move(changed)); };
  if (method == "DELETE") return parts_.queue.cancel(function_.id, route_.id, std::move(done));
  if (route_.resource == Resource::kRedeliver)
    return parts_.outbox.redeliver(function_.id, route_.id, std::move(done));
  const WallTime expires_at =
      loop_.clock().wall() + std::chrono::duration_cast<std::chrono::milliseconds>(terms.max_age);
  parts_.queue.redrive(function_.id, route_.id,
                       {.expires_at = expires_at, .space_backlog = terms.space_backlog}, std::move(done));
}

// 202 with the invocation as it is now.
void InvocationExchange::on_changed(Result<void> changed) {
  if (!changed) return refuse(changed.error());
  if (connection_ == nullptr) return;
  parts_.invocations.find(function_.id, route_.id, [self = shared_from_this()](Result<queue::Record> record) {
    if (self->connection_ == nullptr) return;
    if (!record) return self->refuse(record.error());
    self->answer_json(202, to_json(*record));
  });
}

}  // namespace sterna::gateway
