// The invocations of a function: list, look, wait, read the answer, cancel, redrive, redeliver (SPEC 2).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "api/json.h"
#include "gateway/submit_exchange.h"

namespace sterna::gateway {

// What a request below {fn}/invocations is about.
struct InvocationRoute {
  enum class Resource : std::uint8_t { kList, kOne, kResponse, kRedrive, kRedeliver };
  Resource resource = Resource::kList;
  std::string id;
};
// `tail` is what follows /invocations. nullopt: there is no such resource.
std::optional<InvocationRoute> parse_invocation_route(std::string_view tail);
// The methods that the resource knows, for Allow.
std::string_view allowed_methods(InvocationRoute::Resource resource);

class InvocationExchange final : public std::enable_shared_from_this<InvocationExchange>,
                                 private net::ResponseObserver {
 public:
  // What holds for an invocation that is run again.
  struct Terms {
    Duration max_age{};  // how long it may wait
    std::optional<std::size_t> space_backlog;
  };
  // Answers one request; the bytes of a function's answer count for `meters`.
  static void start(net::Loop& loop, net::Background& reading, const AsyncParts& parts,
                    net::HttpConnection& connection, queue::FunctionName function, InvocationRoute route,
                    std::string_view query, const Terms& terms, Meters meters);

  InvocationExchange(net::Loop& loop, net::Background& reading, const AsyncParts& parts,
                     net::HttpConnection& connection, queue::FunctionName function, InvocationRoute route,
                     Meters meters)
      : loop_(loop),
        reading_(reading),
        parts_(parts),
        connection_(&connection),
        function_(std::move(function)),
        route_(std::move(route)),
        meters_(std::move(meters)) {}

 private:
  void on_client_gone() override;
  void on_drained() override {}
  void on_server_ends() override;

  void list(std::string_view query);
  void get(std::string_view query);
  void look();
  void response();
  void change(std::string_view method, const Terms& terms);

  void on_listing(Result<queue::Listing> listing);
  void on_record(Result<queue::Record> record);
  void on_answer(Result<queue::StoredAnswer> answer);
  void on_changed(Result<void> changed);
  void stop_waiting();
  void refuse(const Error& error);
  void answer_json(unsigned status, const api::OrderedJson& json);

  net::Loop& loop_;
  net::Background& reading_;
  const AsyncParts& parts_;
  net::HttpConnection* connection_;  // null when it was answered, or the client is gone
  const queue::FunctionName function_;
  const InvocationRoute route_;
  const Meters meters_;
  bool may_wait_ = false;  // the end is still waited for
  unsigned looks_ = 0;     // records that are asked for: of several, the last one counts
  std::optional<Settlements::Token> waiting_;
  net::Loop::TimerId timer_;
};

}  // namespace sterna::gateway
