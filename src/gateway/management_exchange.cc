#include "gateway/management_exchange.h"

#include <malloc.h>

#include "gateway/problem_answer.h"

namespace sterna::gateway {
namespace {

constexpr std::size_t kWorthGiving = 1U << 20U;  // of a body: reading it took a multiple of that

ManagementRequest copy_of(const net::HttpConnection& connection, std::string_view path,
                          std::string_view query) {
  const net::HttpRequest& request = connection.request();
  ManagementRequest copy;
  copy.method = request.method;
  copy.path = path;
  copy.query = query;
  copy.address = connection.client();
  for (const net::Header& header : request.headers) copy.headers.emplace_back(header.name, header.value);
  return copy;
}

}  // namespace

std::string lane_of(const auth::Grant* caller) {
  // No space has such a name, and the lane without one is not for requests.
  constexpr std::string_view kOfServer = "(server)";
  return caller == nullptr || caller->space.empty() ? std::string(kOfServer) : caller->space;
}

bool has_room(const net::Background& thread, std::string_view lane) {
  const std::size_t waiting = thread.waiting();
  const std::size_t own = thread.waiting(lane);
  return own < kReservedOfSpace ? waiting < kMostWaitingRequests
                                : waiting < kMaxWaitingRequests && own < kMaxWaitingOfSpace;
}

void ManagementExchange::start(net::Loop& loop, net::Background& thread, Management& management,
                               net::HttpConnection& connection, auth::GrantPtr caller, std::string_view path,
                               std::string_view query) {
  const std::string lane = lane_of(caller.get());
  if (!has_room(thread, lane)) {
    return answer_problem(connection, 503,
                          {Code::kUnavailable, Component::kGateway, "too_busy",
                           "too many management requests wait; try again in a moment"});
  }
  ManagementRequest request = copy_of(connection, path, query);
  request.caller = std::move(caller);
  auto exchange = std::make_shared<ManagementExchange>(connection);
  connection.observe(exchange.get());
  // Until its turn comes a large body stays on disk: the code of all that wait is more than memory holds.
  thread.run(lane, [&loop, &management, exchange, request = std::move(request),
                    body = connection.take_body()]() mutable {
    Result<std::string> bytes = body.bytes();
    body.clear();
    if (!bytes) return loop.post([exchange, error = bytes.error()] { exchange->fail(error); });
    request.body = std::move(*bytes);
    const bool is_large = request.body.size() >= kWorthGiving;
    loop.post([exchange, reply = management.handle(request)] { exchange->answer(reply); });
    request.body = {};
    if (is_large) malloc_trim(0);
  });
}

void ManagementExchange::refused(net::Background& thread, Management& management,
                                 const net::HttpConnection& connection, std::string_view path,
                                 const Refusal& refusal) {
  if (refusal.caller == nullptr) return;
  using Room = Management::Room;
  ManagementRequest request = copy_of(connection, path, {});
  request.caller = refusal.caller;
  const auto status = static_cast<int>(refusal.status);
  const Room room = thread.waiting() < kMaxWaitingRequests ? Room::kYes : Room::kNone;
  if (!management.admits_refusal(request, status, refusal.error.reason, room)) return;
  thread.run([&management, request = std::move(request), status, reason = refusal.error.reason] {
    management.refused(request, status, reason);
  });
}

void ManagementExchange::fail(const Error& error) {
  if (connection_ == nullptr) return;
  connection_->observe(nullptr);
  answer_problem(*connection_, 503, error);
}

void ManagementExchange::answer(const ManagementReply& reply) {
  if (connection_ == nullptr) return;
  connection_->observe(nullptr);
  connection_->begin(static_cast<unsigned>(reply.status));
  for (const auto& [name, value] : reply.headers) connection_->header(name, value);
  reply.fixed_body.empty() ? connection_->send(reply.body) : connection_->send_fixed(reply.fixed_body);
}

}  // namespace sterna::gateway
