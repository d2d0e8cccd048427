// Who waits for the end of an asynchronous invocation.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sterna::gateway {

enum class WaitEnd : std::uint8_t { kSettled, kFunctionDeleted, kServerEnds };

// Loop only.
class Settlements {
 public:
  using Token = std::pair<std::string, std::uint64_t>;

  using Ended = std::function<void(WaitEnd)>;

  // Calls `ended` once, when the invocation is settled, its function is deleted, or the server ends. Register
  // before looking whether it is.
  Token wait(const std::string& function_id, const std::string& id, Ended ended);
  void forget(const Token& token);
  void on_settled(const std::string& function_id, const std::string& id);
  void on_deleted(const std::string& function_id);
  void on_server_ends();

 private:
  struct Waiter {
    std::uint64_t number;
    Ended ended;
  };
  std::unordered_map<std::string, std::vector<Waiter>> waiters_;  // by "function/id"
  std::uint64_t next_number_ = 1;
};

}  // namespace sterna::gateway
