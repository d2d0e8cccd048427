#include "gateway/management_exchange.h"

#include "gateway/problem_answer.h"

namespace sterna::gateway {
namespace {

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

void ManagementExchange::start(net::Loop& loop, net::Background& thread, Management& management,
                               net::HttpConnection& connection, auth::GrantPtr caller, std::string_view path,
                               std::string_view query) {
  if (thread.waiting() >= kMaxWaitingRequests) {
    return answer_problem(connection, 503,
                          {Code::kUnavailable, Component::kGateway, "too_busy",
                           "too many management requests wait; try again in a moment"});
  }
  ManagementRequest request = copy_of(connection, path, query);
  request.caller = std::move(caller);
  auto exchange = std::make_shared<ManagementExchange>(connection);
  connection.observe(exchange.get());
  // Until its turn comes a large body stays on disk: the code of all that wait is more than memory holds.
  thread.run(
      [&loop, &management, exchange, request = std::move(request), body = connection.take_body()]() mutable {
        Result<std::string> bytes = body.bytes();
        body.clear();
        if (!bytes) return loop.post([exchange, error = bytes.error()] { exchange->fail(error); });
        request.body = std::move(*bytes);
        loop.post([exchange, reply = management.handle(request)] { exchange->answer(reply); });
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
  connection_->send(reply.body);
}

}  // namespace sterna::gateway
