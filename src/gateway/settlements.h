// Who waits for the end of an asynchronous invocation.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sterna::gateway {

// Loop only.
class Settlements {
 public:
  using Token = std::pair<std::string, std::uint64_t>;

  // Calls `ended` once, when the invocation is settled. Register before looking whether it is.
  Token wait(const std::string& function_id, const std::string& id, std::function<void()> ended);
  void forget(const Token& token);
  void on_settled(const std::string& function_id, const std::string& id);

 private:
  struct Waiter {
    std::uint64_t number;
    std::function<void()> ended;
  };
  std::unordered_map<std::string, std::vector<Waiter>> waiters_;  // by "function/id"
  std::uint64_t next_number_ = 1;
};

}  // namespace sterna::gateway
